"""Time matrix products in dlcore and in NumPy with its BLAS: `python benchmarks/compare_gemm.py`.

A cell is a shape of peers/gemm_shapes.py, float32, operands and result in memory that is there; what dlcore packs, it
packs each time. How it is measured stands in compare.py: two processes, stopped while the other works. The ratio is
NumPy's time divided by dlcore's, so above 1 dlcore is faster. OpenBLAS chooses its kernels by OPENBLAS_CORETYPE where
that is set, whatever the processor: it is ignored here, unless --keep-coretype says so.
"""

import math
import os
import re
import statistics

import compare
import gemm_shapes
from peak import Peak


def chart(cells, file):
    """Ratios to OpenBLAS, the worst first."""
    from matplotlib.figure import Figure

    cells = sorted(cells, key=lambda cell: cell["ratio"])
    figure = Figure(figsize=(8, 0.2 * len(cells) + 1), layout="constrained")
    axes = figure.subplots()
    shown = [min(cell["ratio"], 3.0) for cell in cells]
    axes.barh([cell["shape"] for cell in cells], shown, color="#d1495b")
    for place, (cell, length) in enumerate(zip(cells, shown, strict=True)):
        axes.annotate(
            f"{cell['ratio']:.2f}×", (length, place), (4, 0), textcoords="offset points", va="center", fontsize=7
        )
    axes.axvline(1, color="#333333", linewidth=1)
    axes.set_xlim(0, 3.4)
    axes.invert_yaxis()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=7)
    axes.set_xlabel("times as fast as NumPy with OpenBLAS, bars end at 3")
    figure.savefig(file, dpi=150)


def main():
    parser = compare.parser(__doc__, ["numpy"], rounds=7, turn=0.1)
    parser.add_argument("--shapes", default="", metavar="REGEX", help="only shapes that match")
    parser.add_argument(
        "--keep-coretype", action="store_true", help="leave OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE as set"
    )
    options = parser.parse_args()
    if not options.keep_coretype:
        for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            os.environ.pop(name, None)
    shapes = [name for name in gemm_shapes.SHAPES if re.search(options.shapes, name)]
    with compare.prepared(options) as info:
        peak = Peak(info["dlcore_isa"]).flops() * options.threads / 1e9
        workers = [compare.Worker("gemm", peer, config, shapes, options)
                   for peer, config in (("dlcore", "gemm"), ("numpy", "matmul"))]  # fmt: skip
        try:
            cells = []
            for name in shapes:
                kept, quiet = compare.interleave([(worker, name) for worker in workers], options.rounds)
                mine, theirs = ([worker.times(name)[r] for r in kept] for worker in workers)
                ratio, interval = compare.ratio(theirs, mine)
                rates = [gemm_shapes.flop(name) / statistics.median(us) / 1e3 for us in (mine, theirs)]
                cells.append({"shape": name, "ratio": ratio, "interval": interval, "gflops": rates, "quiet": quiet})
        finally:
            for worker in workers:
                worker.close()
    mean = math.exp(statistics.fmean(math.log(cell["ratio"]) for cell in cells))
    print(f"\npeak of {options.threads} threads {peak:.0f} GFLOP/s; worst cell first")
    print(f"{'':32}{'dlcore':>10}{'NumPy':>10}{'of peak':>10}{'ratio':>8}   95 % interval")
    for cell in sorted(cells, key=lambda cell: cell["ratio"]):
        mine, theirs = cell["gflops"]
        low, high = cell["interval"]
        rates = f"{mine:10.1f}{theirs:10.1f}{mine / peak:10.1%}{cell['ratio']:8.2f}   {low:.2f} .. {high:.2f}"
        print(f"{cell['shape']:32}{rates}{'' if cell['quiet'] else '   NOISY'}")
    print(f"geometric mean of {len(cells)} cells: {mean:.3f}")
    compare.write_json(options, {"machine": info, "peak": peak, "cells": cells, "mean": mean})


if __name__ == "__main__":
    main()
