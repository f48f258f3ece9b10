"""Time one training step of Keras' MNIST CNN in dlcore and in its peers: `python benchmarks/compare_train.py`.

The network: Conv2D 32 3x3 valid ReLU on 28x28x1, MaxPool 2x2, Flatten, Dense 10, softmax, sparse categorical
cross-entropy, Adam 0.001, batch 128, float32. How the measurement is made, and why:

- Every framework runs in a process of its own (peers/worker.py), since two thread pools in one process disturb each
  other. All are pinned to the same first `--threads` CPUs and told to use that many threads.
- Data lie in memory as float32 before the clock starts. Batches come in shuffled order, and every framework gathers
  them inside the timed step by its own in-memory means: index_select, tf.gather, indexing, dlcore's fit.
- The peers get their best case: loss on logits, fused optimizers, compilers, several layouts and run-time switches.
  A scan runs all configurations of a peer one after the other and keeps the fastest by its *minimum*, which other
  tenants of the machine disturb least.
- Large tensors that glibc's malloc hands back to the kernel after every step cost an unfused framework thousands of
  page faults a step (half of PyTorch's time in channels_last, where this was written). Tuned users preload another
  allocator; here every worker is told to keep its heap, except in the configurations named "stock-malloc".
- Then the finalists take turns of about `--turn` seconds in the order A B C, C B A, ..., so that slow drifts of the
  machine hit all alike. Between turns a worker is stopped (SIGSTOP), because idle thread pools may spin and would steal
  CPU from the one being timed; a turn starts with some untimed steps to fill the caches again.
- Result: the median over rounds of each peer's time divided by dlcore's time in the same round, with a 95 % bootstrap
  interval; and the median and minimum of each absolute time with the quartile spread.
- A turn begins when the CPUs are quiet; all waits together last `--patience` seconds at most. /proc/stat says how much
  of the CPUs others used during a turn. Rounds with more than 5 % are left out where at least five quiet ones remain;
  otherwise all are used and the table is marked NOISY: do not quote it.

No peer is required: what does not import is named and left out. `pip install -r benchmarks/requirements-peers.txt`
installs them; `--dlcore-python` names the Python that has dlcore, where it is another one.
"""

import argparse
import contextlib
import gzip
import importlib
import json
import os
import pathlib
import platform
import random
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

PEERS = pathlib.Path(__file__).resolve().parent / "peers"
sys.path.insert(0, str(PEERS))
BATCH = 128
THREAD_VARIABLES = [
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
]
KEEP_HEAP = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "100000000",
}
QUIET = 0.05  # share of the CPUs that others may use


class Failed(Exception):
    """A worker could not start or died; the message says why."""


class Worker:
    """A child process that trains when told to and is stopped in between."""

    def __init__(self, peer, config, options):
        self.peer, self.config, self.name = peer, config, f"{peer}: {config}"
        python = options.dlcore_python if peer == "dlcore" else sys.executable
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(options.threads))
        environment["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no pool of helpers beside the worker
        if not configurations(peer)[config].get("stock_malloc"):
            environment |= KEEP_HEAP
        if peer == "dlcore" and any(PEERS.parents[1].glob("dlcore/kernels/simd.*.so")):  # built in place, not installed
            environment["PYTHONPATH"] = os.pathsep.join(
                [str(PEERS.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
            )
        spec = {"peer": peer, "config": config, "threads": options.threads, "cpus": options.cpus, "data": options.data}
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the worker
        self.process = subprocess.Popen(
            [python, str(PEERS / "worker.py"), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
            env=environment,
            start_new_session=True,
        )
        try:
            answer = self._read(timeout=300)
            if "error" in answer:
                raise Failed(answer["error"])
            self.versions, self.options, self.turns = answer["ready"], options, []
            self._warm_up(options.turn)
        except BaseException:
            self.close()
            raise

    def _read(self, timeout):
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            raise Failed(f"no answer within {timeout} s")
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise Failed("died: " + (self.log.read().strip().splitlines() or ["without a word"])[-1])
        return json.loads(line)

    def steps(self, count):
        with contextlib.suppress(BrokenPipeError):  # reading says what it died of
            self.process.stdin.write(json.dumps({"steps": count}) + "\n")
        return self._read(timeout=600)

    def _warm_up(self, turn):
        """At least 20 steps and one second after the first step, which compiles; then choose the steps of a turn."""
        self.steps(1)
        done, seconds = 0, 0.0
        while done < 20 or seconds < 1.0:
            answer = self.steps(max(20, done))
            done, seconds = done + answer["steps"], seconds + answer["seconds"]
        self.count = max(5, round(turn * answer["steps"] / answer["seconds"]))
        self.stop()

    def stop(self):
        """Stop the whole process group and wait until the kernel says so."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def turn(self):
        """Wake, run some steps untimed and one turn timed, stop; record µs per step and what others did meanwhile."""
        cpus = self.options.cpus
        wait_for_quiet(self.options)
        os.killpg(self.process.pid, signal.SIGCONT)
        self.steps(max(3, self.count // 10))
        busy = busy_seconds(cpus)
        answer = self.steps(self.count)
        foreign = busy_seconds(cpus) - busy - answer["cpu_seconds"]
        self.stop()
        answer["us"] = answer["seconds"] / answer["steps"] * 1e6
        answer["foreign"] = max(0.0, foreign / (answer["seconds"] * len(cpus)))
        self.turns.append(answer)

    def times(self):
        return [turn["us"] for turn in self.turns]

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self.log.close()


def busy_seconds(cpus):
    """CPU time spent on these CPUs by anyone, stolen time included; 0 where /proc/stat is missing."""
    with contextlib.suppress(OSError):
        rows = (line.split() for line in pathlib.Path("/proc/stat").read_text().splitlines())
        ticks = sum(sum(map(int, row[1:4])) + sum(map(int, row[6:9])) for row in rows if row[0][3:] in map(str, cpus))
        return ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def wait_for_quiet(options):
    """With every worker stopped, wait until nobody uses the CPUs, or the patience for the whole run is used up."""
    while options.patience > 0:
        busy, start = busy_seconds(options.cpus), time.perf_counter()
        time.sleep(0.2)
        passed = time.perf_counter() - start
        if busy_seconds(options.cpus) - busy <= QUIET * passed * len(options.cpus):
            return
        options.patience -= passed


def configurations(peer):
    """The CONFIGS of peers/with_<peer>.py: {name: arguments of its build}."""
    return importlib.import_module(f"with_{peer}").CONFIGS


def training_data():
    """(where from, x, y): MNIST below DLCORE_DATA_HOME, else random images of the same shape."""
    home = os.environ.get("DLCORE_DATA_HOME")
    try:

        def read(name, header):
            with gzip.open(pathlib.Path(home or "", "mnist", name)) as file:
                return np.frombuffer(file.read(), np.uint8, offset=header)

        x, y = read("train-images-idx3-ubyte.gz", 16), read("train-labels-idx1-ubyte.gz", 8)
        return "MNIST", (x.reshape(-1, 28, 28, 1) / np.float32(255)), y.astype(np.int32)
    except OSError:
        rng = np.random.default_rng(0)
        return "random images", rng.random((60000, 28, 28, 1), np.float32), rng.integers(0, 10, 60000, np.int32)


def machine(options):
    """What was measured on."""
    info = {}
    with contextlib.suppress(OSError):
        for line in reversed(pathlib.Path("/proc/cpuinfo").read_text().splitlines()):
            info[line.partition(":")[0].strip()] = line.partition(":")[2].strip()
    wanted = ["sse4_2", "avx", "f16c", "fma", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd"]
    flags = info.get("flags", info.get("Features", "")).split()
    return {
        "cpu": info.get("model name", platform.processor() or platform.machine()),
        "cores": os.cpu_count(),
        "isa": " ".join(f for f in wanted if f in flags),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "threads": options.threads,
        "pinned_to": options.cpus,
        "load_average": os.getloadavg()[0],
    }


def scan(peer, options):
    """Try every configuration of a peer; return [(minimum µs, configuration)] from the fastest on, and the failures."""
    ranked, failures = [], {}
    for config in configurations(peer):
        if peer != "dlcore" and not re.search(options.configs, f"{peer}: {config}"):
            continue
        try:
            worker = Worker(peer, config, options)
        except Failed as error:
            failures[config] = str(error)
            print(f"  {peer + ': ' + config:40} {str(error)[:100]}", flush=True)
            if re.match(r"(ModuleNotFound|Import)Error", str(error)):
                break  # not installed: the other configurations fail alike
            continue
        try:
            for _ in range(options.scan_turns):
                worker.turn()
            ranked.append((min(worker.times()), config))
            last = worker.turns[-1]
            print(
                f"  {worker.name:40} {min(worker.times()):9.0f} µs/step   others {last['foreign']:5.1%}"
                f"   loss {last['loss']:.4f}",
                flush=True,
            )
        except Failed as error:
            failures[config] = str(error)
        finally:
            worker.close()
    return sorted(ranked), failures


def bootstrap(values, draws=2000):
    """95 % interval of the median."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(draws))
    return medians[round(0.025 * draws)], medians[round(0.975 * draws) - 1]


def interleave(workers, rounds):
    """A B C, C B A, ...; returns the quiet rounds' numbers, or all of them and False."""
    for number in range(rounds):
        for worker in workers if number % 2 == 0 else reversed(workers):
            worker.turn()
    quiet = [r for r in range(rounds) if max(w.turns[r]["foreign"] for w in workers) <= QUIET]
    return (quiet, True) if len(quiet) >= min(5, rounds) else (list(range(rounds)), False)


def summarise(workers, kept):
    """One row per worker; ratios are to the first worker, round by round."""
    base, rows = [workers[0].times()[r] for r in kept], []
    for worker in workers:
        us = [worker.times()[r] for r in kept]
        middle = statistics.median(us)
        ratios = [a / b for a, b in zip(us, base, strict=True)]
        low, _, high = statistics.quantiles(us, n=4) if len(us) > 1 else us * 3
        rows.append(
            {
                "peer": worker.peer,
                "config": worker.config,
                "versions": worker.versions,
                "us_per_step": middle,
                "us_per_image": middle / BATCH,
                "us_min": min(us),
                "spread": (high - low) / middle,
                "ratio": statistics.median(ratios),
                "interval": bootstrap(ratios),
                "loss": worker.turns[-1]["loss"],
                "foreign": statistics.median(worker.turns[r]["foreign"] for r in kept),
                "turns": worker.turns,
            }
        )
    return rows


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    known = sorted(file.stem[5:] for file in PEERS.glob("with_*.py") if file.stem != "with_dlcore")
    parser.add_argument("--peers", default="torch,tensorflow", help=f"of {','.join(known)} (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--turn", type=float, default=0.7, help="seconds of a turn (default: %(default)s)")
    parser.add_argument("--scan-turns", type=int, default=3)
    parser.add_argument("--configs", default="", metavar="REGEX", help="only peers' configurations that match")
    parser.add_argument("--patience", type=float, default=120, help="seconds to wait for quiet, in all (default: 120)")
    parser.add_argument("--finalists", type=int, default=1, help="configurations per peer in the final (default: 1)")
    parser.add_argument("--dlcore-python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--json", metavar="FILE", help="write everything measured")
    options = parser.parse_args()
    mask = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count()))
    options.cpus = mask[: options.threads]
    if unknown := set(options.peers.split(",")) - set(known):
        parser.error(f"no peer called {', '.join(unknown)}; there are {', '.join(known)}")
    if len(options.cpus) < options.threads:
        parser.error(f"{options.threads} threads asked for, {len(mask)} CPUs allowed")
    return options


def main():
    options = arguments()
    info = machine(options)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        info["data"], x, y = training_data()
        options.data = os.path.join(folder, "data.npz")
        np.savez(options.data, x=x, y=y)
        print(*(f"{key}: {value}" for key, value in info.items()), "\nscan (minimum of a few turns)", sep="\n")
        ranking, failures, workers = {}, {}, []
        for peer in ["dlcore", *options.peers.split(",")]:
            ranking[peer], failures[peer] = scan(peer, options)
            finalists = len(ranking[peer]) if peer == "dlcore" else options.finalists
            for _, config in ranking[peer][:finalists]:
                workers.append(Worker(peer, config, options))
                stack.callback(workers[-1].close)
        if not workers:
            sys.exit("nothing to compare")
        workers.sort(key=lambda w: w.name != "dlcore: fit")  # the ratios' base, where it is there
        kept, quiet = interleave(workers, options.rounds)
        rows = summarise(workers, kept)
    for row in rows:
        info |= row["versions"]
    print("\n" + ", ".join(sorted({f"{k} {v}" for row in rows for k, v in row["versions"].items()})))
    note = "" if quiet else "; NOISY: others used the CPUs, do not quote"
    print(f"{len(kept)} of {options.rounds} rounds used{note}; ratios to {workers[0].name}")
    print(f"{'':36}{'µs/step':>9}{'µs/image':>10}{'min':>8}{'spread':>8}{'others':>8}{'ratio':>8}   95 % interval")
    for row in rows:
        print(
            f"{row['peer'] + ': ' + row['config']:36}{row['us_per_step']:9.0f}{row['us_per_image']:10.2f}"
            f"{row['us_min']:8.0f}{row['spread']:8.1%}{row['foreign']:8.1%}{row['ratio']:8.2f}"
            f"   {row['interval'][0]:.2f} .. {row['interval'][1]:.2f}"
        )
    if options.json:
        report = {"machine": info, "quiet": quiet, "kept_rounds": kept, "final": rows}
        report |= {"scan_minimum_us": ranking, "failed": failures}
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
