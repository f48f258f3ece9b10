"""What benchmarks/ makes of its measurements; nothing is timed here."""

import compare
import compare_conv
import conv_shapes
import instructions
import network
import numpy as np
import pytest
import report
import specs

BUILD = {"compiler": "gcc 12", "python": "3.11", "numpy": "2.4"}
STORED = {"build": BUILD, "instructions": {"training step": 1_000_000, "prediction": 10_000}}


def verdict(step, prediction, **other):
    return instructions.verdict(STORED, {"training step": step, "prediction": prediction}, BUILD | other)


def test_the_gate_lets_counts_within_two_percent_pass():
    assert verdict(1_020_000, 10_000)[1]
    lines, good = verdict(1_020_001, 10_000)
    assert not good and "MORE THAN 2%" in lines[0] and "MORE" not in lines[1]
    assert not verdict(1_000_000, 10_201)[1]
    lines, good = verdict(970_000, 10_000)
    assert good and "--update" in lines[0]


def test_the_gate_allows_more_where_the_build_is_another():
    lines, good = verdict(1_090_000, 10_900, compiler="clang 18")
    assert good and all("gcc 12" in line for line in lines)
    assert not verdict(1_110_000, 10_000, compiler="clang 18")[1]
    assert verdict(1_000_000, 10_900, python="3.12")[1]
    assert not verdict(1_030_000, 10_000, python="3.12")[1]  # Python has no part in a training step


class Turns:
    """A worker whose turns are over."""

    def __init__(self, peer, config, times, foreign=0.0):
        self.peer, self.config, self.versions = peer, config, {peer: "1.0"}
        self.turns = {"step": [{"us": us, "foreign": foreign, "value": 0.5} for us in times]}
        self.times = lambda job: [turn["us"] for turn in self.turns[job]]


def test_ratios_are_medians_round_by_round():
    contenders = [
        (Turns("dlcore", "fit", [100, 200, 100]), "step"),
        (Turns("torch", "eager", [900, 2000, 1100]), "step"),
    ]
    first, second = compare.summarise(contenders, [0, 1, 2], images=128)
    assert (first["ratio"], second["ratio"]) == (1, 10)
    assert second["ratio_interval"][0] <= 10 <= second["ratio_interval"][1]
    assert second["us_per_image"] == 1100 / 128
    assert compare.summarise(contenders, [0, 2])[1]["ratio"] == 10


def results(torch=1600, bare=1.1, quiet=True):
    def part(rows, jobs):
        made = compare.summarise([(Turns(*row), "step") for row in rows], [0, 1], images=1)
        found = {job: {"quiet": quiet, "rounds": [2, 2], "rows": made} for job in jobs}
        machine = dict.fromkeys(("cpu", "cores", "isa", "dlcore_isa", "system", "python", "numpy", "data"), "?")
        scan = {row[0]: {job: [[row[2][0], row[1]]] for job in jobs} for row in rows}
        model = {"data": "?", "results": found, "scan": scan}
        return {"machine": machine | {"threads": 2}, "models": {"headline": model}}

    dlcore, peak = ("dlcore", "fit", [100, 100]), ("peak", "one step", [80, 80])
    onnxruntime = ("onnxruntime", "1 thread", [500, 500])
    train = part([dlcore, peak, ("torch", "eager", [torch] * 2), ("tensorflow", "step", [9000] * 2)], ["step"])
    predict = part([dlcore, onnxruntime, ("torch", "eager", [200] * 2)], ["one", "cold", "many"])
    one = {"ratio": 1.0, "ratio_interval": [0.99, 1.01]}
    ratios = {"bound": one, "threads": one | {"ratio": 1.9}, "passive": one, "fit": one | {"ratio": bare}}
    me = train["models"]["headline"]["results"]["step"] | {"ratios": ratios, "memory_mb": [20, 22, 21]}
    started = one | {"version": "1.0", "seconds": 1.0, "fastest": 1.0, "epochs": [2, 3]}
    start = {"quiet": quiet, "results": {"dlcore": started, "torch": started | {"ratio": 12.5}}}
    return {"train": train, "predict": predict, "start": start, "self": {"results": me}}


def test_every_target_is_listed_with_what_was_measured():
    rows = report.targets(results())
    assert [row[2] for row in rows] == [
        "16.00x", "1.25x", "1.10x", "12.50x", "5.00x", "5.00x", "1.90x", "1.00x", "21.0 MB"
    ]  # fmt: skip
    assert all(row[4] for row in rows)
    text = report.markdown(results())
    assert "missed" not in text and "NOISY" not in text
    assert "| torch: eager | 1,600 |" in text and "**dlcore: fit**" in text


@pytest.mark.parametrize("worse, line", [(dict(torch=1400), "14.00x"), (dict(bare=1.2), "1.20x")])
def test_missed_targets_are_marked(worse, line):
    missed = [row for row in report.markdown(results(**worse)).splitlines() if "**missed**" in row]
    assert len(missed) == 1 and line in missed[0]
    assert "do not quote" in report.markdown(results(quiet=False))


def test_larger_networks_convolutions_and_memory_have_their_sections():
    found = results()
    for part in ("train", "predict"):
        models = found[part]["models"]
        models["resnet20"] = models["headline"]
    memory = {"megabytes": {"dlcore": [60], "torch": [100]}, "ratio": 0.6, "ratio_interval": [0.6, 0.6]}
    found["memory"] = {"results": memory | {"growth": 0.1, "predictions": 10}}
    rows = compare.summarise([(Turns("dlcore", "auto", [10]), "step"), (Turns("torch", "nhwc", [30]), "step")], [0])
    cell = {"quiet": True, "rows": rows, "case": conv_shapes.CASES["vgg 3-64"]}
    found["conv"] = {"flops": 1e11, "results": {"vgg 3-64: forward": cell}}
    text = report.markdown(found)
    assert "| ResNet-20, 32x32 | step | 100 | torch: eager | 1,600 | 16.00x |" in text
    assert "| vgg 3-64: forward | 10.0 | torch nhwc | 30.0 | 3.00x |" in text and "| all | 3.00x |" in text
    assert "| dlcore | 60.0 |" in text and "at most 0.7x | 0.60x" in text


@pytest.mark.parametrize("name", specs.NETWORKS)
def test_the_networks_of_the_peers_are_those_of_dlcore(name):
    model, spec = network.MODELS[name](), specs.NETWORKS[name]
    shapes = [array.shape for arrays in spec.weights() for array in arrays]
    assert [weight.value.shape for weight in model.weights] == shapes and model.input_shape[1:] == spec.shape
    assert sum(weight.value.size for weight in model.trainable_weights) == spec.parameters()


def test_multiply_adds_of_networks_are_as_published():
    assert specs.NETWORKS["resnet20"].multiply_adds(False) == pytest.approx(40.8e6, rel=0.01)  # 0.041 billion
    assert specs.NETWORKS["headline"].multiply_adds(True) == 2 * 9 * 32 * 26**2 + 3 * 5408 * 10


def test_another_network_ends_the_comparison():
    first = {"parameters": 10, "losses": [2.0, 1.0]}
    compare.agree("torch", {"losses": [2.001, 1.001]}, first)
    with pytest.raises(SystemExit, match="torch has another network than dlcore: parameters 11, not 10"):
        compare.agree("torch", {"parameters": 11}, first)


def test_cells_are_listed_from_the_worst_on():
    def cell(us, peer):
        turns = (Turns("dlcore", "auto", [us]), "step"), (Turns("torch", "nchw", [peer]), "step")
        return {"quiet": True, "rows": compare.summarise(turns, [0]), "case": conv_shapes.CASES["vgg 3-64"]}

    rows = compare_conv.summary({"a: forward": cell(10, 50), "b: forward": cell(10, 5)}, 1e12)
    assert [row["cell"] for row in rows] == ["b: forward", "a: forward"] and np.isclose(rows[0]["ratio"], 0.5)
    assert rows[0]["gflops"] == pytest.approx(conv_shapes.CASES["vgg 3-64"].flop / 1e4)
