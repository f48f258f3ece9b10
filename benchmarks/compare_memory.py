"""Memory of training ResNet-20 at batch 128 in dlcore and in PyTorch: `python benchmarks/compare_memory.py`.

Each in a fresh process: the peak of resident memory during eight steps with Adam, over what the process has when its
library is imported and the data are loaded (peers/memory_step.py). Weights, gradients, optimizer state and activations
count, the library's code does not. PyTorch trains eager and channels_last, with glibc's malloc as it comes, which gives
back the most. And the growth of a process of dlcore over 10,000 predictions of 1 to 32 images.
"""

import statistics
import subprocess

import compare

STEPS, PREDICTIONS = 8, 10_000


def megabytes(peer, options, *how):
    script = compare.PEERS / "memory_step.py"
    cpus = ",".join(map(str, options.cpus))
    command = ["taskset", "-c", cpus, compare.python_of(peer, options), script, peer, options.data, *map(str, how)]
    environment = compare.environment_of(peer, options)
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{peer}: " + (done.stderr.strip().splitlines() or ["died"])[-1])
    return float(done.stdout.split()[-1])


def main():
    parser = compare.parser(__doc__, rounds=3)
    parser.add_argument("--predictions", type=int, default=PREDICTIONS, help="default: %(default)s")
    parser.set_defaults(model="resnet20")
    options = parser.parse_args()
    with compare.prepared(options) as info:
        found = {peer: [megabytes(peer, options, STEPS) for _ in range(options.rounds)] for peer in ("dlcore", "torch")}
        growth = megabytes("dlcore", options, "predict", options.predictions)
    ratio, interval = compare.ratio(found["dlcore"], found["torch"])
    for peer, values in found.items():
        print(f"{peer:8} {statistics.median(values):8.1f} MB   {min(values):.1f} .. {max(values):.1f}")
    print(f"ratio    {ratio:8.2f}      {interval[0]:.2f} .. {interval[1]:.2f}")
    print(f"growth   {growth:8.1f} MB over {options.predictions:,} predictions of 1 to 32 images")
    results = {"megabytes": found, "ratio": ratio, "ratio_interval": interval, "growth": growth}
    compare.write_json(options, {"machine": info, "results": results | {"predictions": options.predictions}})


if __name__ == "__main__":
    main()
