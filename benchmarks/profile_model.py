"""Where the time of a model's training step or prediction goes: `python benchmarks/profile_model.py resnet20`.

One line for each op of the bound program, the slowest first: the milliseconds of one run summed over the threads, the
share of all, the multiply-adds a second of one thread, and the shapes. A prediction has the weights prepared, as
all calls of `predict` have but the first. Ops that follow each other slab by slab find in
cache what the one before wrote, as in any run; looking at the clock costs some 30 ns for each of their calls.
"""

import argparse
import time

import numpy as np
import specs
from network import MODELS, compiled


def training(model, x, y):
    """The program of a training step, fed."""
    model.train_on_batch(x, y)
    function = model._function(x.dtype.char, (None,), training=True).function
    function.feeds["x0"].set(x)
    function.feeds["y0"].set(y)
    return function


def prediction(model, x):
    """The program of a prediction, fed."""
    y = model.predict(x, batch_size=len(x), verbose=0)
    with model._predicting(x.dtype.char, [y.shape[1:]]) as function:
        pass
    function.feeds["x0"].set(x)
    function.feeds["p0"].set(y, write=True)
    return function


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("model", choices=MODELS)
    options.add_argument("--predict", action="store_true", help="a prediction instead of a training step")
    options.add_argument("--cold", action="store_true", help="a prediction right after the weights changed")
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--steps", type=int, default=10)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rows", type=int, default=40, help="lines to print (default: %(default)s)")
    options = options.parse_args()
    random = np.random.default_rng(0)
    x = random.random((options.batch, *specs.NETWORKS[options.model].shape), np.float32)
    y = random.integers(0, 10, options.batch, np.int32)
    model = compiled(MODELS[options.model]())
    function = prediction(model, x) if options.predict else training(model, x, y)
    program, times = function.program(options.batch), []
    prepared = "weights" if options.predict and not options.cold else None
    for _ in range(options.steps + 2):
        function.cursor.cursor = 0
        start = time.perf_counter()
        program.run(1, options.threads, prepared)
        times.append(time.perf_counter() - start)
    found = np.zeros((len(program.ops), 2))
    for _ in range(options.steps):
        function.cursor.cursor = 0
        found += np.array(program.profile(1, options.threads, prepared)) / options.steps
    total = found[:, 1].sum()
    print(f"{np.median(times[2:]) * 1e3:.3f} ms; {total * 1e3:.3f} ms of work on {options.threads} threads")
    for i in np.argsort(-found[:, 1])[: options.rows]:
        op, (work, seconds) = program.ops[i], found[i]
        shapes = " ".join("x".join(str(s or "n") for s in t.shape) for t in [*op.inputs, *op.outputs])
        speed = f"{work / seconds / 1e9:7.1f} G/s"
        print(f"{seconds * 1e3:9.3f} ms {seconds / total:6.1%} {speed}  {type(op).__name__:24} {shapes}")
    kinds: dict[str, float] = {}
    for op, (_, seconds) in zip(program.ops, found, strict=True):
        kinds[type(op).__name__] = kinds.get(type(op).__name__, 0.0) + seconds
    ranked = sorted(kinds.items(), key=lambda item: -item[1])
    print("\nby kind: " + ", ".join(f"{kind} {seconds / total:.1%}" for kind, seconds in ranked))


if __name__ == "__main__":
    main()
