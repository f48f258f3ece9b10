"""Measure all and write docs/benchmarks.md with its charts: `python benchmarks/report.py --dlcore-python PYTHON`.

Run it with the Python of the peers, on an idle machine; it takes about a quarter of an hour. Everything measured is
kept in docs/benchmarks.json, from which `--from-json` writes text and charts again.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import compare_predict
import compare_train

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
PARTS = ["train", "predict", "start", "self"]
NOISY = "**NOISY: others used the machine meanwhile; do not quote.**"


def measure(options):
    """{part: what compare_<part>.py wrote}"""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            file = pathlib.Path(folder, "results.json")
            command = [sys.executable, HERE / f"compare_{part}.py", "--dlcore-python", options.dlcore_python]
            command += ["--json", file] + (["--rounds", str(options.rounds)] if options.rounds else [])
            print(f"\n=== compare_{part}.py", flush=True)
            subprocess.run(command, check=True)
            results[part] = json.loads(file.read_text())
    return results


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
    step, predict = results["train"]["results"]["step"]["rows"], results["predict"]["results"]
    me, start = results["self"]["results"], results["start"]["results"]
    found = []

    def row(what, target, measured, good, part, form="{:.2f}x"):
        low, high = measured["ratio_interval"]
        texts = form.format(measured["ratio"]), f"{form.format(low)} .. {form.format(high)}"
        found.append((what, target, *texts, good(measured["ratio"]), f"compare_{part}.py"))

    best, bound = fastest(peers_of(step)), inverse(peers_of(step, "peak")[0])
    row(f"training step, batch 128, against {name_of(best)}", "at least 15x", best, lambda r: r >= 15, "train")
    row("the same against the FMA bound", "at most 1.6x", bound, lambda r: r <= 1.6, "train")
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
    return found


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


def markdown(results):
    """docs/benchmarks.md"""
    info = results["train"]["machine"]
    versions = {"Python": info["python"], "NumPy": info["numpy"]}
    for part in ("train", "predict"):
        for result in results[part]["results"].values():
            for row in result["rows"]:
                versions |= row["versions"]
    checked = [
        [what, target, value, interval, "met" if good else "**missed**", f"`{command}`"]
        for what, target, value, interval, good, command in targets(results)
    ]
    train, predict = results["train"]["results"]["step"], results["predict"]["results"]
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

## From process start to 97.5 % of the test set

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

{scan_table(results["train"]["scan"])}

</details>

<details><summary>Predicting</summary>

{scan_table(results["predict"]["scan"])}

</details>
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dlcore-python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, help="of every comparison; default: its own")
    parser.add_argument("--from-json", action="store_true", help="measure nothing, use docs/benchmarks.json")
    options = parser.parse_args()
    file = DOCS / "benchmarks.json"
    DOCS.mkdir(exist_ok=True)
    if not options.from_json:
        file.write_text(json.dumps(measure(options), indent=1) + "\n")
    results = json.loads(file.read_text())
    (DOCS / "benchmarks.md").write_text(markdown(results), encoding="utf-8")
    compare_train.chart(results["train"]["results"], DOCS / "benchmarks-train.png")
    compare_predict.chart(results["predict"]["results"], DOCS / "benchmarks-predict.png")
    for what, target, value, _, good, _ in targets(results):
        print(f"{'met   ' if good else 'MISSED'} {what}: {value} ({target})")


if __name__ == "__main__":
    main()
