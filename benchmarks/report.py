"""Measure all and write docs/benchmarks.md with its charts: `python benchmarks/report.py --dlcore-python PYTHON`.

Run it with the Python of the peers, on an idle machine; it takes some hours, most of them for compiling the peers'
networks. Everything measured is kept in docs/benchmarks.json, from which `--from-json` writes text and charts again;
`--parts` measures some parts anew and keeps the others.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import compare
import compare_conv
import compare_gemm
import compare_predict
import compare_train
import conv_shapes
import specs

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
PARTS = ["train", "predict", "start", "self", "gemm", "conv", "memory"]
ALL_MODELS = ("train", "predict")
STEPS = {"vgg": 1.5, "lenet5": 6, "resnet20": 2, "mobilenet": 2, "mobilenet96": 2, "mlp": 1.5}  # targets, in times
IMAGES = {"lenet5": 2, "vgg": 1.2, "resnet20": 1.5}
SQUARES = ("square 1024", "square 2048")
NOISY = "**NOISY: others used the machine meanwhile; do not quote.**"


def measure(options):
    """{part: what compare_<part>.py wrote}"""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts.split(","):
            file = pathlib.Path(folder, "results.json")
            command = [sys.executable, HERE / f"compare_{part}.py", "--dlcore-python", options.dlcore_python]
            command += ["--json", file] + (["--rounds", str(options.rounds)] if options.rounds else [])
            command += ["--model", "all", "--configs", options.configs] if part in ALL_MODELS else []
            print(f"\n=== compare_{part}.py", flush=True)
            subprocess.run(command, check=True)
            results[part] = json.loads(file.read_text())
    return results


def headline(results, part):
    """{job: result} of the small network."""
    return results[part]["models"]["headline"]["results"]


def peers_of(rows, peer=None):
    return [row for row in rows if (row["peer"] == peer if peer else row["peer"] not in ("dlcore", "peak"))]


def fastest(rows):
    return min(rows, key=lambda row: row["us"])


def inverse(row):
    low, high = row["ratio_interval"]
    return {"ratio": 1 / row["ratio"], "ratio_interval": (1 / high, 1 / low)}


def name_of(row):
    return f"{row['peer']}: {row['config']}"


def targets(results):
    """Rows (what, target, value, interval, whether it is met, where measured); values as text, None if not measured."""
    step, predict = headline(results, "train")["step"]["rows"], headline(results, "predict")
    me, start = results["self"]["results"], results["start"]["results"]
    found = []

    def row(what, target, measured, good, part, form="{:.2f}x"):
        low, high = measured["ratio_interval"]
        texts = form.format(measured["ratio"]), f"{form.format(low)} .. {form.format(high)}"
        found.append((what, target, *texts, good(measured["ratio"]), f"compare_{part}.py"))

    best, bound = fastest(peers_of(step)), inverse(peers_of(step, "peak")[0])
    row(f"training step, batch 128, against {name_of(best)}", "at least 15x", best, lambda r: r >= 15, "train")
    row(
        "the training step of the small network, against the FMA bound",
        "at most 1.6x",
        bound,
        lambda r: r <= 1.6,
        "train",
    )
    what = "one epoch in `fit`, default progress bar, against 469 bare steps"
    row(what, "at most 1.15x", me["ratios"]["fit"], lambda r: r <= 1.15, "self")
    row(
        "process start to 97.5 % test accuracy, against PyTorch",
        "at least 12x",
        start["torch"],
        lambda r: r >= 12,
        "start",
    )
    for job, what, least in (("one", "predict one image, p50", 3), ("many", "predict 1024 images", 4)):
        best = fastest(peers_of(predict[job]["rows"], "onnxruntime"))
        row(f"{what}, against {name_of(best)}", f"at least {least}x", best, lambda r, k=least: r >= k, "predict")
    row("2 threads against 1, training step", "at least 1.85x", me["ratios"]["threads"], lambda r: r >= 1.85, "self")
    what = "`OMP_WAIT_POLICY=passive` against the default"
    row(what, "within 10 %", me["ratios"]["passive"], lambda r: abs(r - 1) <= 0.1, "self")
    memory = sorted(me["memory_mb"])
    peak = {"ratio": memory[len(memory) // 2], "ratio_interval": (memory[0], memory[-1])}
    what = "peak memory of a training process over NumPy plus the data"
    row(what, "at most 40 MB", peak, lambda r: r <= 40, "self", "{:.1f} MB")
    for model, least in STEPS.items():
        if model in results["train"]["models"]:
            best = fastest(peers_of(results["train"]["models"][model]["results"]["step"]["rows"]))
            what = f"training step of {specs.NETWORKS[model].title}, against {name_of(best)}"
            row(what, f"at least {least}x", best, lambda r, k=least: r >= k, "train")
    for model, least in IMAGES.items():
        if model in results["predict"]["models"]:
            rows = results["predict"]["models"][model]["results"]["one"]["rows"]
            best = fastest(peers_of(rows, "onnxruntime"))
            what = f"{specs.NETWORKS[model].title} predicts one image, against {name_of(best)}"
            row(what, f"at least {least}x", best, lambda r, k=least: r >= k, "predict")
    if "gemm" in results:
        mean, worst = results["gemm"]["mean"], min(results["gemm"]["cells"], key=lambda cell: cell["ratio"])
        squares = [gemm_share(results, cell) for cell in results["gemm"]["cells"] if cell["shape"] in SQUARES]
        found.append(("matrix products, geometric mean, against OpenBLAS", "at least 1.10x", f"{mean:.2f}x", "",
                      mean >= 1.1, "compare_gemm.py"))  # fmt: skip
        row(f"the worst matrix product: {worst['shape']}", "at least 0.85x",
            {"ratio": worst["ratio"], "ratio_interval": worst["interval"]}, lambda r: r >= 0.85, "gemm")  # fmt: skip
        found.append(("squares of 1024 and 2048, share of the peak", "at least 85 %",
                      ", ".join(f"{share:.0%}" for share in squares), "", min(squares) >= 0.85,
                      "compare_gemm.py"))  # fmt: skip
    if "conv" in results:
        cells = conv_rows(results)
        mean, worst = statistics.geometric_mean([cell["ratio"] for cell in cells]), cells[0]
        found.append(("convolutions, geometric mean, against PyTorch's better layout", "at least 1.5x",
                      f"{mean:.2f}x", "", mean >= 1.5, "compare_conv.py"))  # fmt: skip
        row(f"the worst convolution: {worst['cell']}", "at least 0.9x", worst, lambda r: r >= 0.9, "conv")
    if "memory" in results:
        what = "memory of ResNet-20 training steps, batch 128, against PyTorch's"
        row(what, "at most 0.7x", results["memory"]["results"], lambda r: r <= 0.7, "memory")
    return sorted(found, key=lambda row: row[4])  # the missed ones first


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(header, rows):
    """A Markdown table; the first column is text, the others numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def contest_table(result):
    """The rows of one job."""
    header = {"us": "µs", "us_per_image": "µs an image", "us_min": "fastest", "p50": "p50", "p90": "p90", "p99": "p99"}
    keys = [key for key in header if key in result["rows"][0] and (key != "us" or "p50" not in result["rows"][0])]
    if "p50" in keys:
        keys.remove("us_per_image")
    rows = []
    for row in result["rows"]:
        name = f"**{name_of(row)}**" if row["peer"] == "dlcore" else name_of(row)
        low, high = row["ratio_interval"]
        ratio = ["", ""] if row is result["rows"][0] else [f"{row['ratio']:.2f}x", f"{low:.2f} .. {high:.2f}"]
        rows.append([name, *(number(row[key]) for key in keys), f"{row['spread']:.1%}", *ratio])
    used, of = result["rounds"]
    note = f"{used} of {of} rounds used." + ("" if result["quiet"] else f" {NOISY}")
    return table(["", *(header[key] for key in keys), "spread", "ratio", "95 % interval"], rows) + f"\n\n{note}"


def scan_table(scan):
    """Everything that was tried, from the fastest on."""
    jobs = list(scan["dlcore"])
    rows = []
    for peer, found in scan.items():
        us = {job: {config: value for value, config in found[job]} for job in jobs}
        rows += [[f"{peer}: {config}", *(number(us[job][config]) for job in jobs)] for config in us[jobs[0]]]
    return table(["fastest turn of the scan, µs", *jobs], rows)


def models_table(results, part):
    """dlcore and the fastest peer for every network and job."""
    rows = []
    for model, job, own, best, quiet in compare.summary(results[part]["models"]):
        low, high = best["ratio_interval"]
        network, times = specs.NETWORKS[model], (number(own["us"]), name_of(best), number(best["us"]))
        ratio = f"{best['ratio']:.2f}x", f"{low:.2f} .. {high:.2f}"
        rows.append([network.title, job, *times, *ratio, "" if quiet else "noisy"])
    return table(["", "job", "dlcore µs", "fastest peer", "µs", "ratio", "95 % interval", ""], rows)


def models_chart(results, file):
    """How many times as long the fastest peer takes, a panel for each job."""
    from matplotlib.figure import Figure

    panels = {}
    for part in ALL_MODELS:
        for model, job, _, best, _ in compare.summary(results[part]["models"]):
            panels.setdefault(job, []).append((specs.NETWORKS[model].title, best))
    titles = {"step": f"training step, batch {specs.BATCH}"}
    titles |= {"one": "one image", "cold": "one image after a pause", "many": "many images"}
    figure = Figure(figsize=(8, 0.32 * sum(len(rows) + 2 for rows in panels.values())), layout="constrained")
    heights = [len(rows) + 1 for rows in panels.values()]
    found = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (job, rows) in zip(found, panels.items(), strict=True):
        axes.barh([title for title, _ in rows], [best["ratio"] for _, best in rows], color="#d1495b")
        for place, (_, best) in enumerate(rows):
            text = f"{best['ratio']:.2f}× ({best['peer']})"
            axes.annotate(text, (best["ratio"], place), (4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.axvline(1, color="#333333", linewidth=1)
        axes.set_xlim(0, 1.3 * max(best["ratio"] for _, best in rows))
        axes.invert_yaxis()
        axes.set_title(titles[job], loc="left", fontsize=11, fontweight="bold")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    axes.set_xlabel("times as fast as the fastest peer")
    figure.savefig(file, dpi=150)


def models_section(results):
    """The larger networks, where they were measured."""
    if len(results["train"]["models"]) < 2:
        return ""
    return f"""## Whole networks

The networks of `benchmarks/specs.py`, written once for all frameworks, which begin with the same weights and must agree
in parameters, first losses and probabilities. Each against its fastest peer.

`python benchmarks/compare_train.py --model all --dlcore-python PYTHON`, and `compare_predict.py` alike

![Ratios of whole networks](benchmarks-models.png)

{models_table(results, "train")}

{models_table(results, "predict")}

"""


def conv_section(results):
    """Single convolutions, where they were measured."""
    if "conv" not in results:
        return ""
    found, rows = conv_rows(results), []
    for row in found:
        low, high = row["ratio_interval"]
        times = number(row["us"]), row["peer"], number(row["peer_us"])
        rates = f"{row['gflops']:.0f}", f"{row['share']:.0%}", "" if row["quiet"] else "noisy"
        rows.append([row["cell"], *times, f"{row['ratio']:.2f}x", f"{low:.2f} .. {high:.2f}", *rates])
    means = [
        [direction, f"{statistics.geometric_mean(ratios):.2f}x"]
        for direction in conv_shapes.DIRECTIONS
        if (ratios := [row["ratio"] for row in found if row["cell"].endswith(f": {direction}")])
    ]
    means.append(["all", f"{statistics.geometric_mean([row['ratio'] for row in found]):.2f}x"])
    header = ["worst first", "dlcore µs", "PyTorch's better layout", "µs", "ratio", "95 % interval"]
    return f"""## Convolutions

Layers of real networks, batches as in training, each direction alone; dlcore packs or transforms the weights in every
run. GFLOP/s count the operations of the definition; the peak is that of multiply-adds from registers.

`python benchmarks/compare_conv.py --dlcore-python PYTHON`

![Ratios of convolutions](benchmarks-conv.png)

{table(["geometric mean of ratios", ""], means)}

{table([*header, "GFLOP/s", "of peak", ""], rows)}

"""


def gemm_share(results, cell):
    return cell["gflops"][0] / results["gemm"]["peak"]


def gemm_section(results):
    """Matrix products, where they were measured."""
    if "gemm" not in results:
        return ""
    rows = [
        [
            cell["shape"],
            *(number(rate) for rate in cell["gflops"]),
            f"{gemm_share(results, cell):.0%}",
            f"{cell['ratio']:.2f}x",
            "{:.2f} .. {:.2f}".format(*cell["interval"]),
            "" if cell["quiet"] else "noisy",
        ]
        for cell in sorted(results["gemm"]["cells"], key=lambda cell: cell["ratio"])
    ]
    header = ["worst first", "dlcore GFLOP/s", "OpenBLAS GFLOP/s", "dlcore, of peak", "ratio", "95 % interval", ""]
    return f"""## Matrix products

Operands and result lie in memory; what dlcore packs, it packs each time. Geometric mean of the ratios:
{results["gemm"]["mean"]:.2f}.

`python benchmarks/compare_gemm.py --dlcore-python PYTHON`

![Ratios of matrix products](benchmarks-gemm.png)

{table(header, rows)}

"""


def conv_rows(results):
    return compare_conv.summary(results["conv"]["results"], results["conv"]["flops"])


def memory_section(results):
    """Training memory, where it was measured."""
    if "memory" not in results:
        return ""
    found = results["memory"]["results"]
    rows = [
        [peer, f"{statistics.median(values):.1f}", f"{min(values):.1f} .. {max(values):.1f}"]
        for peer, values in found["megabytes"].items()
    ]
    return f"""## Memory

Peak of resident memory while ResNet-20 trains at batch 128, over that of the process with library and data loaded.
A dlcore process grew by {found["growth"]:.1f} MB over {found["predictions"]:,} predictions of 1 to 32 images.

`python benchmarks/compare_memory.py --dlcore-python PYTHON`

{table(["", "MB", "all runs"], rows)}

"""


def markdown(results):
    """docs/benchmarks.md"""
    info = results["train"]["machine"]
    versions = {"Python": info["python"], "NumPy": info["numpy"]}
    for part in ALL_MODELS:
        for result in headline(results, part).values():
            for row in result["rows"]:
                versions |= row["versions"]
    checked = [
        [what, target, value, interval, "met" if good else "**missed**", f"`{command}`"]
        for what, target, value, interval, good, command in targets(results)
    ]
    train, predict = headline(results, "train")["step"], headline(results, "predict")
    start, me = results["start"]["results"], results["self"]["results"]
    bound = peers_of(me["rows"], "peak")[0]
    gflops = 2 * compare_train.MULTIPLY_ADDS / bound["us"] / 1e3
    starts = [
        [
            f"{peer} {row['version']}",
            f"{row['seconds']:.2f}",
            f"{row['fastest']:.2f}",
            min(row["epochs"]),
            max(row["epochs"]),
        ]
        for peer, row in start.items()
    ]
    own = [
        [f"{row['config']}: {row['job']}", number(row["us"]), number(row["us_min"]), f"{row['spread']:.1%}"]
        for row in me["rows"]
    ]
    quiet = [train["quiet"], me["quiet"], results["start"]["quiet"], *(result["quiet"] for result in predict.values())]
    larger = "".join(part(results) for part in (models_section, gemm_section, conv_section, memory_section))
    noise = "" if all(quiet) else f"\n{NOISY}\n"
    return f"""# Benchmarks

Written by `benchmarks/report.py`; do not edit. How the measuring is done, and why it is fair, stands at the top of
`benchmarks/compare.py`: separate processes on the same CPUs, every framework in its fastest configuration of a scan,
turns interleaved, medians of ratios round by round with 95 % bootstrap intervals. *Spread* is the distance of the
quartiles over the median.

| | |
| --- | --- |
| processor | {info["cpu"]}, {info["cores"]} cores, {info["threads"]} used |
| instruction sets | {info["isa"]}; dlcore uses {info["dlcore_isa"]} |
| system | {info["system"]} |
| versions | {", ".join(f"{name} {version}" for name, version in versions.items())} |
| data | {info["data"]} |
{noise}
## Targets

{table(["what", "target", "measured", "95 % interval", "", "by"], checked)}

The interval of the memory is that of all its runs.

## Training

One step of the network of `examples/keras_mnist.py`: Conv2D 32 3x3, ReLU, MaxPooling 2x2, Dense 10, softmax,
cross-entropy, Adam; batch 128, shuffled, in memory. *peak* does the multiply-adds of a step from registers and nothing
else. The peers' processes keep their heap between steps and compute the loss on logits, which favours them.

`python benchmarks/compare_train.py --dlcore-python PYTHON`

![Time of a training step](benchmarks-train.png)

{contest_table(train)}

## Predicting

The same network, softmax included.

`python benchmarks/compare_predict.py --dlcore-python PYTHON`

![Time of predictions](benchmarks-predict.png)

### One image, call after call, µs

{contest_table(predict["one"])}

### One image after a pause of 20 ms, µs

{contest_table(predict["cold"])}

### 1024 images

{contest_table(predict["many"])}

{larger}## From process start to 97.5 % of the test set

Import, read the four files, train with evaluation after each epoch; page cache warm.

`python benchmarks/compare_start.py --dlcore-python PYTHON`

{table(["", "seconds", "fastest", "epochs, fewest", "most"], starts)}

## dlcore against itself and the machine

Multiply-adds from registers run at {gflops:.0f} GFLOP/s on {info["threads"]} threads; those of a step take
{number(bound["us"])} µs, a bare step {me["ratios"]["bound"]["ratio"]:.2f} times that.

`python benchmarks/compare_self.py --dlcore-python PYTHON`

{table(["", "µs", "fastest", "spread"], own)}

## Configurations tried

<details><summary>Training</summary>

{scan_table(results["train"]["models"]["headline"]["scan"])}

</details>

<details><summary>Predicting</summary>

{scan_table(results["predict"]["models"]["headline"]["scan"])}

</details>
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dlcore-python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, help="of every comparison; default: its own")
    parser.add_argument("--configs", default="", metavar="REGEX", help="only peers' configurations that match")
    parser.add_argument("--from-json", action="store_true", help="measure nothing, use docs/benchmarks.json")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure anew, default: %(default)s")
    options = parser.parse_args()
    file = DOCS / "benchmarks.json"
    DOCS.mkdir(exist_ok=True)
    if not options.from_json:
        kept = json.loads(file.read_text()) if options.parts != ",".join(PARTS) else {}
        file.write_text(json.dumps(kept | measure(options), indent=1) + "\n")
    results = json.loads(file.read_text())
    (DOCS / "benchmarks.md").write_text(markdown(results), encoding="utf-8")
    for part, module in (("train", compare_train), ("predict", compare_predict)):
        module.chart({"headline": results[part]["models"]["headline"]}, DOCS / f"benchmarks-{part}.png")
    if len(results["train"]["models"]) > 1:
        models_chart(results, DOCS / "benchmarks-models.png")
    if "gemm" in results:
        compare_gemm.chart(results["gemm"]["cells"], DOCS / "benchmarks-gemm.png")
    if "conv" in results:
        compare_conv.chart(conv_rows(results), DOCS / "benchmarks-conv.png")
    for what, target, value, _, good, _ in targets(results):
        print(f"{'met   ' if good else 'MISSED'} {what}: {value} ({target})")


if __name__ == "__main__":
    main()
