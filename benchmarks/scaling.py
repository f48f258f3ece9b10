"""What threads are worth to small problems and large ones: `python benchmarks/scaling.py`.

Each network at each batch size takes a training step and a prediction, without the Python above them, on 1, 2, 4, ...
threads up to all: the median in microseconds, and how many times as fast as one thread. Turns of all thread counts
alternate. More threads should never be slower than one, but for noise: the table marks what is more than 10 % slower.
"""

import argparse
import json
import statistics
import time

import numpy as np
import specs
from network import MODELS, compiled
from profile_model import prediction, training

from dlcore import config
from dlcore.kernels import elementwise, simd
from dlcore.kernels.executor import Program

SLOWER = 0.9


def counts(most):
    """1, 2, 4, ... and all of them."""
    return sorted({*(2**i for i in range(most.bit_length())), most})


def stage(threads):
    """Seconds of a stage of nearly no work, most of which threads wait for each other. It tells what processors share:
    where threads of one machine come from several caches, or move between them, it takes several times as long."""
    y, count = np.empty((threads, 2000), np.float32), 1000
    program, times = Program([[([elementwise.fill(y, 0.0)], 1)]] * count), []
    for _ in range(20):
        start = time.perf_counter()
        program.run(threads=threads)
        times.append(time.perf_counter() - start)
    return statistics.median(times) / count


def turn(function, batch, threads, seconds):
    """Seconds of one run, the median of a turn."""
    program, times, end = function.program(batch), [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        function.cursor.cursor = 0
        start = time.perf_counter()
        program.run(1, threads, "weights" if function.feeds.get("p0") else None)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(name, batch, what, threads, options):
    random = np.random.default_rng(0)
    x = random.random((batch, *specs.NETWORKS[name].shape), np.float32)
    y = random.integers(0, 10, batch, np.int32)
    model = compiled(MODELS[name]())
    function = training(model, x, y) if what == "train" else prediction(model, x)
    found = {count: [] for count in threads}
    for _ in range(options.rounds + 1):
        for count in threads:
            found[count].append(turn(function, batch, count, options.turn))
    us = {count: statistics.median(times[1:]) * 1e6 for count, times in found.items()}
    return {"model": name, "batch": batch, "job": what, "us": us, "speedup": {n: us[1] / us[n] for n in threads}}


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--models", default=",".join(MODELS))
    options.add_argument("--batches", default="1,2,4,8,32,128")
    options.add_argument("--jobs", default="train,predict")
    options.add_argument("--threads", type=int, default=config.get_num_threads(), help="the most (default: all)")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--turn", type=float, default=0.02, help="seconds (default: %(default)s)")
    options.add_argument("--json", metavar="FILE", help="write the numbers there")
    options = options.parse_args()
    threads, rows = counts(options.threads), []
    stages = {count: stage(count) * 1e9 for count in threads}
    print("a stage of nearly no work, in ns: " + ", ".join(f"{ns:.0f} on {n}" for n, ns in stages.items()))
    print(f"{'µs, times one thread':32}" + " ".join(f"{n:>8} threads" for n in threads))
    for name in options.models.split(","):
        for what in options.jobs.split(","):
            for batch in map(int, options.batches.split(",")):
                row = measure(name, batch, what, threads, options)
                rows.append(row)
                cells = [f"{row['us'][n]:9.0f} {row['speedup'][n]:5.2f}x" for n in threads]
                slow = "  SLOWER" if min(row["speedup"].values()) < SLOWER else ""
                print(f"{name:12} {what:8} batch {batch:4} " + " ".join(cells) + slow, flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"isa": simd.isa(), "stage_ns": stages, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
