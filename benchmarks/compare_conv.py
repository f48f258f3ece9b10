"""Time the convolutions of real networks in dlcore and in PyTorch: `python benchmarks/compare_conv.py`.

Each layer of conv_shapes.py forward, and the gradients of its input and of its weights, without bias or activation.
Against dlcore, whose packing and transforming of weights is part of each run, stands the better of PyTorch's two
layouts for that very cell. GFLOP/s count the operations of the definition, so that Winograd's algorithm, which needs
fewer, may come above the peak. `--check-choice` compares dlcore's choice of algorithm with each algorithm forced.
How it is measured stands in compare.py.
"""

import re
import statistics
import sys

import compare
import conv_shapes
import peak


def measure(configs, options):
    """{job: summarised rows and whether it was quiet} of workers that take turns, job by job."""
    workers = []
    try:
        for peer, config in configs:
            try:
                workers.append(compare.Worker("conv", peer, config, [], options))
            except compare.Failed as error:
                print(f"  {peer}: {config}: {error}", flush=True)
        if not workers or workers[0].peer != "dlcore":
            sys.exit("dlcore does not run here: build it, or name its Python with --dlcore-python")
        found = {}
        for job, (name, _) in conv_shapes.JOBS.items():
            if not re.search(options.shapes, job):
                continue
            contenders = []
            for worker in workers:
                worker.prepare(job, warm=0.05)
                contenders.append((worker, job))
            kept, quiet = compare.interleave(contenders, options.rounds)
            found[job] = {"quiet": quiet, "rows": compare.summarise(contenders, kept), "case": conv_shapes.CASES[name]}
            report(job, found[job])
        return found
    finally:
        for worker in workers:
            worker.close()


def report(job, result):
    own, *others = result["rows"]
    texts = "".join(f"   {row['peer']} {row['config']} {row['us']:9.1f}  {row['ratio']:5.2f}" for row in others)
    print(f"{job:42}{own['us']:10.1f}{texts}{'' if result['quiet'] else '   NOISY'}", flush=True)


def summary(found, flops):
    """One row a cell, the worst first: {"cell", "us", "peer", "peer_us", "ratio", "ratio_interval", "gflops", "share",
    "quiet"}. `flops`: of all threads, from registers."""
    rows = []
    for job, result in found.items():
        own, *others = result["rows"]
        if not others:
            continue
        best = min(others, key=lambda row: row["us"])
        rate = conv_shapes.Case(*result["case"]).flop / own["us"] * 1e6
        row = {"cell": job, "us": own["us"], "peer": f"{best['peer']} {best['config']}", "peer_us": best["us"]}
        row |= {"ratio": best["ratio"], "ratio_interval": best["ratio_interval"], "quiet": result["quiet"]}
        rows.append(row | {"gflops": rate / 1e9, "share": rate / flops})
    return sorted(rows, key=lambda row: row["ratio"])


def print_summary(rows):
    print(f"\n{'worst first':42}{'µs':>10}{'peer µs':>10}   {'':12}{'ratio':>7}{'GFLOP/s':>9}{'of peak':>9}")
    for row in rows:
        print(
            f"{row['cell']:42}{row['us']:10.1f}{row['peer_us']:10.1f}   {row['peer']:12}{row['ratio']:7.2f}"
            f"{row['gflops']:9.1f}{row['share']:9.1%}{'' if row['quiet'] else '   NOISY'}"
        )
    for direction in conv_shapes.DIRECTIONS:
        ratios = [row["ratio"] for row in rows if row["cell"].endswith(f": {direction}")]
        if ratios:
            print(f"geometric mean, {direction}: {statistics.geometric_mean(ratios):.2f}")
    if rows:
        print(f"geometric mean of all: {statistics.geometric_mean([row['ratio'] for row in rows]):.2f}")


def check_choice(found):
    """Cells where an algorithm that was forced is more than 5 % faster than the one that was chosen."""
    wrong = 0
    for job, result in found.items():
        best = min(result["rows"], key=lambda row: row["ratio"])
        if best["ratio"] < 0.95:
            wrong += 1
            print(f"{job}: {best['config']} takes {best['ratio']:.2f} of what dlcore chose")
    print(f"{len(found) - wrong} of {len(found)} choices within 5 % of the best")
    return wrong


def chart(rows, file):
    """Ratios to PyTorch, a panel for each direction."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.24 * len(rows) + 1.5), layout="constrained")
    panels = {d: [row for row in rows if row["cell"].endswith(f": {d}")] for d in conv_shapes.DIRECTIONS}
    panels = {direction: found for direction, found in panels.items() if found}
    heights = [len(found) + 1 for found in panels.values()]
    for axes, (direction, found) in zip(
        figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0], panels.items(), strict=True
    ):
        axes.barh([row["cell"].partition(":")[0] for row in found], [row["ratio"] for row in found], color="#d1495b")
        for number, row in enumerate(found):
            axes.annotate(
                f"{row['ratio']:.2f}×", (row["ratio"], number), (4, 0), textcoords="offset points", va="center"
            )
        axes.axvline(1, color="#333333", linewidth=1)
        axes.invert_yaxis()
        axes.set_title(direction, loc="left", fontsize=11, fontweight="bold")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0, labelsize=8)
    axes.set_xlabel("times as fast as PyTorch's better layout")
    figure.savefig(file, dpi=150)


def main():
    parser = compare.parser(__doc__, rounds=5, turn=0.1)
    parser.add_argument("--shapes", default="", metavar="REGEX", help="only cells that match, as in 'vgg.*forward'")
    parser.add_argument("--check-choice", action="store_true", help="dlcore's algorithms against each other")
    options = parser.parse_args()
    with compare.prepared(options) as info:
        flops = peak.Peak(options.isa).flops() * options.threads
        dlcore = [("dlcore", "auto")]
        if options.check_choice:
            forced = [("dlcore", name) for name in ("direct", "winograd2x2", "winograd4x2")]
            found = measure([*dlcore, *forced], options)
            if any(len(result["rows"]) > 1 for result in found.values()):
                check_choice(found)
        else:
            found = measure([*dlcore, ("torch", "nchw"), ("torch", "nhwc")], options)
            print_summary(summary(found, flops))
    compare.write_json(options, {"machine": info, "flops": flops, "results": found})


if __name__ == "__main__":
    main()
