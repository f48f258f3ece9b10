"""Time from process start to 97.5 % test accuracy on MNIST: `python benchmarks/compare_start.py`, against PyTorch.

A fresh process imports its framework, reads the four MNIST files below DLCORE_DATA_HOME, trains the network of
compare_train.py with Adam 0.001 in batches of 128, shuffled, and evaluates the test set after each epoch, until 97.5 %
are right. The parent measures from the start of the process until it says so. Each framework is started once untimed,
so that files lie in the page cache; then they take turns, A B, B A, ..., with another seed each round.
"""

import json
import resource
import statistics
import subprocess
import time

import compare

PEERS = ["dlcore", "torch"]


def once(peer, seed, options):
    """Start the process; returns its answer with the seconds and the share of the CPUs that others used."""
    compare.wait_for_quiet(options)
    environment = compare.environment_of(peer, options) | compare.KEEP_HEAP
    cpus = ",".join(map(str, options.cpus))
    command = ["taskset", "-c", cpus, compare.python_of(peer, options), compare.PEERS / f"start_{peer}.py", str(seed)]
    busy, own, start = compare.busy_seconds(options.cpus), children_seconds(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as child:
        line = child.stdout.readline()
        seconds = time.perf_counter() - start
        errors = child.stderr.read().strip().splitlines()
    if not line:
        raise SystemExit(f"{peer}: " + (errors or ["died"])[-1])
    whole = time.perf_counter() - start
    foreign = compare.busy_seconds(options.cpus) - busy - (children_seconds() - own)
    return json.loads(line) | {"seconds": seconds, "foreign": max(0.0, foreign / (whole * len(options.cpus)))}


def children_seconds():
    """CPU time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    options = compare.parser(__doc__, rounds=7).parse_args()
    with compare.prepared(options) as info:
        if info["data"] != "MNIST":
            raise SystemExit("no MNIST: name the folder that has mnist/train-images-idx3-ubyte.gz in DLCORE_DATA_HOME")
        runs = {peer: [] for peer in PEERS}
        for peer in PEERS:
            once(peer, 0, options)
        for seed in range(options.rounds):
            for peer in PEERS if seed % 2 == 0 else reversed(PEERS):
                runs[peer].append(once(peer, seed, options))
                print(
                    "  {:8} seed {}: {seconds:.2f} s, {epochs} epochs, {accuracy:.2%}".format(
                        peer, seed, **runs[peer][-1]
                    )
                )
    results = {}
    for peer in PEERS:
        seconds = [run["seconds"] for run in runs[peer]]
        middle, interval = compare.ratio(seconds, [run["seconds"] for run in runs["dlcore"]])
        results[peer] = {
            "version": runs[peer][0]["version"],
            "seconds": statistics.median(seconds),
            "foreign": statistics.median(run["foreign"] for run in runs[peer]),
            "fastest": min(seconds),
            "epochs": [run["epochs"] for run in runs[peer]],
            "ratio": middle,
            "ratio_interval": interval,
        }
        row = results[peer]
        print(
            f"{peer:8} {row['seconds']:6.2f} s, fastest {row['fastest']:.2f} s, ratio {middle:.2f}"
            f" ({interval[0]:.2f} .. {interval[1]:.2f})"
        )
    quiet = all(row["foreign"] <= compare.QUIET for row in results.values())
    print("" if quiet else "NOISY: others used the CPUs, do not quote")
    compare.write_json(options, {"machine": info, "quiet": quiet, "results": results})


if __name__ == "__main__":
    main()
