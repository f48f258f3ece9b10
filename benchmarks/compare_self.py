"""dlcore against the machine and against itself: `python benchmarks/compare_self.py`.

The network of compare_train.py, by medians of ratios of interleaved turns:

- a bare training step against the multiply-adds it consists of, from registers (peers/bound_peak.py), same threads;
- all threads against one;
- OMP_WAIT_POLICY=passive against the default;
- one epoch inside `fit`, with accuracy and the default progress bar on a terminal, against the same steps bare;
- peak memory of a training process over that of one which only loads the data with NumPy.
"""

import statistics
import subprocess

import compare
import compare_train

PAIRS = {  # what: (of, to) as (configuration, job); None is the machine
    "bound": (("default", "step"), None),
    "threads": (("default", "step, 1 thread"), ("default", "step")),
    "passive": (("passive", "step"), ("default", "step")),
    "fit": (("default", "fit epoch"), ("default", "bare epoch")),
}


def peak_memory(options, *how):
    command = [compare.python_of("dlcore", options), compare.PEERS / "memory_dlcore.py", options.data, *how]
    environment = compare.environment_of("dlcore", options)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return float(done.stdout.split()[-1])


def main():
    options = compare.parser(__doc__, turn=0.5).parse_args()
    with compare.prepared(options) as info:
        steps = ["step", "step, 1 thread", "bare epoch", "fit epoch"]
        workers = {
            "default": compare.Worker("self", "dlcore", "default", steps, options),
            "passive": compare.Worker("self", "dlcore", "passive", ["step"], options),
            "peak": compare.Worker("bound", "peak", "one step", ["step"], options),
        }
        info |= workers["default"].versions
        contenders = [(worker, job) for worker in workers.values() for job in worker.turns]
        kept, quiet = compare.interleave(contenders, options.rounds)
        rows = compare.summarise(contenders, kept)
        for worker in workers.values():
            worker.close()
        memory = [peak_memory(options, "train") - peak_memory(options) for _ in range(3)]
    us = {(row["config"], row["job"]): row["rounds"] for row in rows}
    bound = us["one step", "step"]
    ratios = {}
    for what, (of, to) in PAIRS.items():
        middle, interval = compare.ratio(us[of], bound if to is None else us[to])
        ratios[what] = {"ratio": middle, "ratio_interval": interval}
    result = {"quiet": quiet, "rounds": [len(kept), options.rounds], "rows": rows}
    result |= {"ratios": ratios, "memory_mb": memory}
    compare.print_table("dlcore and the machine", result)
    gflops = 2 * compare_train.MULTIPLY_ADDS / statistics.median(bound) / 1e3
    print(f"\nmultiply-adds from registers: {gflops:.0f} GFLOP/s on {options.threads} threads")
    for what, row in ratios.items():
        print(f"{what:10} {row['ratio']:.3f}   {row['ratio_interval'][0]:.3f} .. {row['ratio_interval'][1]:.3f}")
    print(f"memory     {min(memory):.1f} .. {max(memory):.1f} MB over NumPy and the data")
    compare.write_json(options, {"machine": info, "results": result})


if __name__ == "__main__":
    main()
