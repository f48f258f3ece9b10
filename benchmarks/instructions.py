"""Count the instructions of one training step and of one prediction, and compare with instructions.json.

`python benchmarks/instructions.py` fails when a count has grown by more than 2 %; `--update` writes the new counts.

One thread, AVX2, fixed seed, counted by callgrind, which is switched on around the work. Counts repeat to some 0.01 %,
on a busy machine too, but they depend on the compiler, and a prediction on the Python around it: where these are not
those of the file, 10 % are allowed. Where valgrind is missing the script says so and succeeds. Instructions say nothing
about cache misses or waiting; compare_*.py measure time.
"""

import argparse
import ctypes
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

STORED = pathlib.Path(__file__).with_name("instructions.json")
TOLERANCE, OTHER_BUILD = 0.02, 0.10
TIMES = {"training step": 10, "prediction": 200}
DEPENDS = {"training step": ["compiler"], "prediction": ["compiler", "python", "numpy"]}
SWITCH = """
#include <valgrind/callgrind.h>
void start(void) { CALLGRIND_START_INSTRUMENTATION; }
void stop(void) { CALLGRIND_STOP_INSTRUMENTATION; }
"""


def compile_switch(folder):
    """A library that switches callgrind on and off; False where its header or the compiler is missing."""
    source = pathlib.Path(folder, "switch.c")
    source.write_text(SWITCH)
    command = [*os.environ.get("CC", "cc").split(), "-O2", "-shared", "-fPIC", str(source), "-o", f"{folder}/switch.so"]
    return subprocess.run(command, capture_output=True).returncode == 0


def work(what, switch):
    """What is counted: some training steps or predictions of the network that compare_train.py times."""
    import network
    import numpy as np

    import dlcore

    dlcore.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.random((network.BATCH, 28, 28, 1), np.float32), rng.integers(0, 10, network.BATCH, np.int32)
    image, model, callgrind = x[:1].copy(), network.mnist_cnn(), ctypes.CDLL(switch)
    train = network.bare_steps(model, x, y)

    def run(times):
        if what == "training step":
            train(times, threads=1)
        else:
            for _ in range(times):
                model.predict(image)

    run(3)  # binds the program
    callgrind.start()
    run(TIMES[what])
    callgrind.stop()


def count(what, folder):
    """Instructions of one training step or one prediction."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "DLCORE_"))}
    environment |= {"DLCORE_ISA": "avx2", "DLCORE_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out.%p"]
    command += [sys.executable, __file__, "--work", what, f"{folder}/switch.so"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise SystemExit(f"counting failed:\n{done.stderr[-2000:]}")
    return round(int(found[1]) / TIMES[what])


def build():
    """What counts depend on besides the source."""
    import numpy as np

    from dlcore import _build_config

    python = ".".join(platform.python_version_tuple()[:2])
    return {"compiler": _build_config.COMPILER, "python": python, "numpy": ".".join(np.__version__.split(".")[:2])}


def verdict(stored, counted, built):
    """Lines that say how counts compare with the stored ones, and whether all are within the tolerance."""
    lines, good = [], True
    for what, now in counted.items():
        before, grown = stored["instructions"][what], now / stored["instructions"][what] - 1
        other = [f"{key} {stored['build'][key]}" for key in DEPENDS[what] if built[key] != stored["build"][key]]
        tolerance = OTHER_BUILD if other else TOLERANCE
        line = f"{what}: {now:,} instructions, stored {before:,}: {grown:+.2%}"
        if other:
            line += f" (stored with {', '.join(other)}: {tolerance:.0%} allowed)"
        if now > before * (1 + tolerance):
            good = False
            line += f": MORE THAN {tolerance:.0%}"
        elif grown < -tolerance:
            line += "; keep the gain with --update"
        lines.append(line)
    return lines, good


def why_not(folder):
    """What is missing for counting, or None."""
    if not shutil.which("valgrind"):
        return "valgrind is not installed"
    if not compile_switch(folder):
        return "no C compiler, or valgrind's headers are missing"
    from dlcore.kernels import simd

    return None if "avx2" in simd.usable() else "this processor has no AVX2"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--update", action="store_true", help="write what was counted into instructions.json")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
        return
    with tempfile.TemporaryDirectory() as folder:
        if reason := why_not(folder):
            print(f"SKIPPED, instructions are not counted: {reason}")
            return
        with ThreadPoolExecutor(len(TIMES)) as pool:
            counted = dict(zip(TIMES, pool.map(lambda what: count(what, folder), TIMES), strict=True))
    built = build()
    if options.update:
        STORED.write_text(json.dumps({"build": built, "instructions": counted}, indent=1) + "\n")
    lines, good = verdict(json.loads(STORED.read_text()), counted, built)
    print(*lines, sep="\n")
    sys.exit(not good)


if __name__ == "__main__":
    main()
