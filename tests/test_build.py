"""What a build of dlcore promises: size, flags, one door to OpenMP, a quiet import, complete source archives."""

import importlib.machinery
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import dlcore
from dlcore import _build_config, _version

PACKAGE = Path(dlcore.__file__).parent
CHECKOUT = Path(__file__).parents[1]
SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]
EXTENSIONS = sorted((PACKAGE / "kernels").glob("*" + SUFFIX))
MEGABYTE = 2**20

IMPORT_EVERYTHING = """
import os, sys
before, least = dict(os.environ), sys.float_info.min
import dlcore
optional = {"h5py", "matplotlib", "onnx", "PIL", "pooch", "tensorflow", "torch"} & set(sys.modules)
assert not optional, f"import dlcore imports {optional}"
import importlib, numpy, pathlib
for path in pathlib.Path(dlcore.__file__).parent.glob("kernels/*.so"):
    importlib.import_module("dlcore.kernels." + path.name.partition(".")[0])
assert dict(os.environ) == before, "import dlcore changes the environment"
assert least / 2 > 0, "import dlcore flushes small doubles to zero"
assert numpy.float32(1e-40) * numpy.float32(1) > 0, "import dlcore flushes small floats to zero"
"""


def run(*command, cwd, **env):
    """(exit status, everything printed) of a command; the package under test is the one that this process imported."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={"PYTHONPATH": str(PACKAGE.parent), **os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def test_version_is_stated_once():
    assert dlcore.__version__ == _version.__version__
    try:
        installed = metadata.version("dlcore-engine")
    except metadata.PackageNotFoundError:
        pytest.skip("built in place, not installed")
    assert installed == _version.__version__


def test_build_is_of_these_sources():
    """A stale build makes every other result meaningless: build again when this fails."""
    if not (CHECKOUT / "setup.py").exists():
        pytest.skip("the tests run outside of a checkout")
    code = "import runpy; print(runpy.run_path('setup.py', run_name='sources')['source_sha256']())"
    status, printed = run(sys.executable, "-c", code, cwd=CHECKOUT)
    if "ModuleNotFoundError" in printed:
        pytest.skip("needs setuptools and Cython")
    assert status == 0, printed
    assert printed.split()[-1] == _build_config.SOURCE_SHA256, "sources changed since the last build: install again"


def test_extensions_are_small():
    """The wheel shall stay under 5 MB. It compresses what is measured here to less than half; most of it are the
    modules that Cython makes, some 100 KB each, and a quarter the tiles of three instruction sets."""
    assert EXTENSIONS
    if _build_config.DEBUG:
        pytest.skip("debug symbols may be large")
    sizes = {path.name: path.stat().st_size / MEGABYTE for path in EXTENSIONS}
    assert sum(sizes.values()) < 8, sizes


def test_flags_keep_nan_and_portability():
    flags = [*_build_config.CFLAGS, *_build_config.LDFLAGS, *_build_config.OPENMP_FLAGS]
    flags += [flag for own in _build_config.ISAS.values() for flag in own]
    for wrong in ("fast-math", "-Ofast", "unsafe-math", "finite-math", "-march", "-mtune"):
        assert not [flag for flag in flags if wrong in flag]
    assert "baseline" in _build_config.ISAS
    assert not _build_config.ISAS["baseline"]


def test_only_the_executor_knows_openmp():
    marks = (b"GOMP_", b"__kmpc_", b"libomp")
    users = {path.name.partition(".")[0] for path in EXTENSIONS if any(mark in path.read_bytes() for mark in marks)}
    assert users == ({"executor"} if _build_config.OPENMP else set())


def test_extensions_do_not_name_the_build_folder():
    if _build_config.DEBUG:
        pytest.skip("debug symbols name it")
    assert not [path.name for path in EXTENSIONS if os.fsencode(CHECKOUT) in path.read_bytes()]


def test_import_is_quiet(tmp_path):
    status, printed = run(sys.executable, "-W", "error", "-c", IMPORT_EVERYTHING, cwd=tmp_path)
    assert (status, printed) == (0, "")


# The rest builds from a copy of the checkout, with the setuptools and Cython of this environment.


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    pytest.importorskip("Cython")
    if not (CHECKOUT / "setup.py").exists():
        pytest.skip("the tests run outside of a checkout")
    folder = tmp_path_factory.mktemp("sdist")
    # A list of files left in the checkout by an earlier build must not add to what MANIFEST.in says, hence egg_info.
    status, printed = run(
        *(sys.executable, "setup.py", "-q", "egg_info", "--egg-base", folder, "sdist", "--dist-dir", folder),
        cwd=CHECKOUT,
    )
    assert status == 0, printed
    (archive,) = folder.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


def wheel(source, folder, **env):
    status, printed = run(
        *(sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "--no-build-isolation", "-w", folder, source),
        cwd=folder,
        **env,
    )
    return status, printed, next(folder.glob("*.whl"), None)


def import_from(built, folder):
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder)
    code = IMPORT_EVERYTHING + "import dlcore._build_config as b; print(dlcore.__file__, b.OPENMP)"
    return run(sys.executable, "-c", code, cwd=folder, PYTHONPATH=str(folder))


@pytest.mark.slow
def test_sdist_holds_the_sources_and_nothing_generated(unpacked):
    files = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    kept = [*CHECKOUT.glob("csrc/*"), *CHECKOUT.glob("tests/*.py"), *CHECKOUT.glob("tests/csrc/*")]
    for pattern in ("*.py", "*.pyx", "*.pxd", "*.h", "*.pyi", "py.typed"):
        kept += (CHECKOUT / "dlcore").rglob(pattern)
    kept = {path.relative_to(CHECKOUT).as_posix() for path in kept} - {"dlcore/_build_config.py"}
    assert not sorted(kept - files)
    assert {"LICENSE", "pyproject.toml", "setup.py"} <= files
    ours = ("csrc/", "benchmarks/", "tests/csrc/")
    generated = {name for name in files if name.endswith((".c", ".cpp", ".so")) and not name.startswith(ours)}
    assert not sorted(generated)
    assert "dlcore/_build_config.py" not in files


@pytest.mark.slow
def test_wheel_from_the_sdist(unpacked, tmp_path):
    status, printed, built = wheel(unpacked, tmp_path)
    assert status == 0, printed
    assert built.stat().st_size < 5 * MEGABYTE
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
    assert {"dlcore/py.typed", "dlcore/_build_config.py", f"dlcore/kernels/simd{SUFFIX}"} <= set(names)
    assert not [name for name in names if name.endswith((".pyx", ".c", ".h", ".inc"))]
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"dlcore", "dlcore_engine"}
    status, printed = import_from(built, tmp_path / "site")
    assert status == 0, printed


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the compiler in the way is a shell script")
@pytest.mark.parametrize("cc", [os.environ.get("CC", "cc"), "clang"])
def test_compiler_without_openmp(cc, unpacked, tmp_path):
    if not shutil.which(cc.split()[0]):
        pytest.skip(f"needs {cc}")
    compiler = tmp_path / "cc"
    compiler.write_text(
        '#!/bin/sh\ncase " $* " in *" -fopenmp "*) echo "cc: error: no OpenMP here" >&2; exit 1 ;; esac\n'
        f'exec {cc} "$@"\n'
    )
    compiler.chmod(0o755)
    status, printed, _ = wheel(unpacked, tmp_path, CC=str(compiler), DLCORE_REQUIRE_OPENMP="1")
    assert status != 0
    assert "OpenMP is required" in printed

    status, printed, built = wheel(unpacked, tmp_path, CC=str(compiler), DLCORE_REQUIRE_OPENMP="0")
    assert status == 0, printed
    assert "building without OpenMP" in printed
    assert "no OpenMP here" in printed
    status, printed = import_from(built, tmp_path / "site")
    assert status == 0, printed
    assert printed.endswith("False\n")
