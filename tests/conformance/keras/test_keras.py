"""Keras' own tests, run against dlcore in a process of their own. See ../README.md."""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import dlcore

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
VERSION = "3.15.1"
HEAD = ["module", "unmodified: passed", "excluded", "reduced: passed", "excluded", "skipped by Keras", "without dlcore"]


def module(name):
    """A file of this folder, which is on no path."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def outcomes(folder):
    """What became of each test, by name, and what pytest said."""
    report = folder / "report.json"
    environment = {
        **os.environ,
        "KERAS_BACKEND": "numpy",
        "KERAS_HOME": str(folder),
        "DLCORE_CONFORMANCE_REPORT": str(report),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(Path(dlcore.__file__).parents[1])]),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        "-p",
        "swap",
        "-q",
        "--tb=short",
    ]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore", "--pyargs", *module("scope").MODULES]
    run = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=3600, check=False
    )
    assert report.exists(), run.stdout[-5000:] + run.stderr[-5000:]
    return json.loads(report.read_text())


def column(result):
    """Which count of HEAD a test belongs to."""
    if result["outcome"] == "skipped":
        return 5
    if result["outcome"] == "passed" and not result["dlcore"]:
        return 6
    return 1 + 2 * bool(result["reduced"]) + (result["outcome"] != "passed")


def table(results):
    counts = Counter((name.split("::")[0], column(result)) for name, result in results.items())
    files = list(dict.fromkeys(file for file, _ in counts))
    rows = [[file.removesuffix("_test.py"), *(counts[file, i] for i in range(1, len(HEAD)))] for file in files]
    rows.append(["**all**", *(sum(row[i] for row in rows) for i in range(1, len(HEAD)))])
    lines = [HEAD, ["---", *["--:"] * (len(HEAD) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


@pytest.mark.slow
def test_keras_own_tests(tmp_path, capsys):
    for package in ("keras", "jax", "scipy"):  # Keras' NumPy backend wants the other two
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install -e '.[conformance]'")
    if (found := importlib.metadata.version("keras")) != VERSION:
        pytest.skip(f"the list of exclusions is for keras {VERSION}, not {found}")
    results = outcomes(tmp_path)
    counted = table(results)
    with capsys.disabled():
        print(f"\nKeras {VERSION}'s own tests against dlcore\n\n{counted}")
    if os.environ.get("DLCORE_UPDATE"):
        head, _, _ = README.read_text().partition("<!-- counts of Keras -->\n")
        README.write_text(f"{head}<!-- counts of Keras -->\n\n{counted}\n")
    failed = {name for name, result in results.items() if result["outcome"] == "failed"}
    patterns = [pattern for names in module("exclusions").EXCLUDED.values() for pattern in names]
    new = [name for name in failed if not any(fnmatchcase(name, pattern) for pattern in patterns)]
    assert not new, "\n\n".join(f"{name}\n{results[name]['message']}" for name in sorted(new))
    stale = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in failed)]
    assert not stale, f"these pass, take them off the list: {stale}"
