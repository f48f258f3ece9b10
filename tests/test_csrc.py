"""csrc without Python: every word of every instruction set against plain C, here, on NEON, on a processor of 2008.

The tests of the words are in tests/csrc; each runs the word for many sizes, before pages that nobody may touch. The
slow ones here want compilers and emulators, and are skipped without. On Debian:

    apt install clang gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import dlcore
from dlcore import _build_config
from dlcore.kernels import simd

CHECKOUT = Path(__file__).parents[1]
CSRC, VOCABULARY = CHECKOUT / "csrc", CHECKOUT / "tests" / "csrc" / "simd.c"
WORDS = sorted(path for path in VOCABULARY.parent.glob("*.c") if path != VOCABULARY)
CC = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
X86 = platform.machine() in ("x86_64", "AMD64")
NEWER = re.compile(r"\t(v\w+|andn|bextr|bls\w+|pdep|pext|mulx|rorx|sarx|shlx|shrx)\s")  # AVX and what came after it

pytestmark = pytest.mark.skipif(not CSRC.exists(), reason="the tests run outside of a checkout")


def needs(*tools):
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def flags(level):
    return [flag for flag in _build_config.CFLAGS if not flag.startswith(("-O", "-g"))] + [level, "-w"]


def compile_isa(cc, name, own, folder, level):
    target = folder / f"isa_{name}.o"
    run(*cc, *flags(level), *own, "-c", CSRC / f"isa_{name}.c", "-o", target)
    return target


def program(cc, isas, folder, level, *link):
    """The tests of the words, linked with these {name: flags}; -O1 compiles fast, -O3 is what ships."""
    have = [f"-DDLC_HAVE_{name.upper()}" for name in isas]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda isa: compile_isa(cc, *isa, folder, level), isas.items()))
    rest = [*have, f"-I{CSRC}", CSRC / "dispatch.c", *WORDS]
    run(*cc, *flags("-O1"), *rest, *objects, "-lm", *link, "-o", folder / "words")
    return folder / "words"


def vocabulary(cc, own, folder, *link):
    """The test of simd.h, for the instruction set of these flags."""
    run(*cc, *flags("-O3"), *own, f"-I{CSRC}", VOCABULARY, "-lm", *link, "-o", folder / "vocabulary")
    return folder / "vocabulary"


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    needs(CC[0])
    return program(CC, _build_config.ISAS, tmp_path_factory.mktemp("native"), "-O1")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    needs(CC[0])
    return program(CC, _build_config.ISAS, tmp_path_factory.mktemp("shipped"), "-O3")


@pytest.mark.parametrize("isa", simd.known())
def test_words(native, isa):
    if isa not in simd.usable():
        pytest.skip(f"this build or processor has no {isa}")
    assert f"{isa}: " in run(native, isa)


@pytest.mark.parametrize("isa", simd.known())
def test_vocabulary(isa, tmp_path):
    needs(CC[0])
    if isa not in simd.usable():
        pytest.skip(f"this build or processor has no {isa}")
    portable = ["-DDLC_PORTABLE"] if isa == "baseline" else []
    run(vocabulary(CC, _build_config.ISAS[isa] + portable, tmp_path))


def test_a_word_without_a_test_is_found(tmp_path):
    """Two more in the table, one in the middle: both are named by the word before them."""
    needs(CC[0])
    header = (CSRC / "dlcore.h").read_text()
    for before in ("void (*spread)", "} dlc_tiles;"):
        header = header.replace(before, f"void (*unheard_of_{len(header)})(void);\n{before}", 1)
    (tmp_path / "dlcore.h").write_text(header)
    (tmp_path / "none.c").write_text(
        '#include "dlcore.h"\nconst char *const dlc_isas[] = {NULL};\n'
        "const dlc_tiles *dlc_find(const char *isa) { return isa ? NULL : NULL; }\n"
    )
    binary = tmp_path / "words"
    sources = [tmp_path / "none.c", *WORDS]
    run(*CC, "-std=gnu11", "-w", f"-I{tmp_path}", *sources, "-lm", "-o", binary)
    done = subprocess.run([binary], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.findall(r"after `(\w+)`", done.stdout) == ["depthwise_gradient", "random_words"]


# ---------------------------------------------------------------------------------------------------------------------
# Other processors and compilers


@pytest.mark.slow
def test_words_as_they_are_shipped(shipped):
    assert re.findall(r"^(\w+): ", run(shipped), re.M) == simd.usable()


@pytest.mark.slow
@pytest.mark.parametrize("cc", [["aarch64-linux-gnu-gcc"], ["clang", "--target=aarch64-linux-gnu"]])
def test_words_on_neon(cc, tmp_path):
    """armv8-a is what every processor of 64 bits has."""
    needs(cc[0], "aarch64-linux-gnu-gcc", "qemu-aarch64")  # clang takes libc and the linker from GCC
    cc = [*cc, "-march=armv8-a"]
    words = program(cc, {"baseline": [], "neon": []}, tmp_path, "-O3", "-static")
    assert re.findall(r"^(\w+): ", run("qemu-aarch64", words), re.M) == ["baseline", "neon"]
    for own in ([], ["-DDLC_PORTABLE"]):
        run("qemu-aarch64", vocabulary(cc, own, tmp_path, "-static"))


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="needs x86-64")
def test_words_without_avx(shipped):
    """All tables are in the program; the processor of 2008 picks the one that it has."""
    needs("qemu-x86_64")
    assert re.findall(r"^(\w+): ", run("qemu-x86_64", "-cpu", "Nehalem", shipped), re.M) == ["baseline"]


@pytest.mark.slow
def test_words_by_clang(tmp_path):
    needs("clang")
    isas = {name: [flag for flag in own if flag != "-mprfchw"] for name, own in _build_config.ISAS.items()}
    printed = run(program(["clang"], isas, tmp_path, "-O3"))
    assert re.findall(r"^(\w+): ", printed, re.M) == simd.usable()
    for name in simd.usable():
        run(vocabulary(["clang"], isas[name], tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("cc", [*{CC[0], "clang"}, "aarch64-linux-gnu-gcc"])
def test_sync_compiles(cc, tmp_path):
    """Barrier and floating-point state of the executor; on aarch64 a denormal number becomes zero, and then no more."""
    needs(cc)
    emulator = ["qemu-aarch64"] if cc.startswith("aarch64") and platform.machine() != "aarch64" else []
    needs(*emulator)
    (tmp_path / "sync.c").write_text("""
        #include "sync.h"
        int main(void) {
            volatile float small = 1e-38f, tenth = 0.1f;
            dlc_barrier b = {0};
            if (small * tenth == 0) return 1;
            const uint64_t state = dlc_flush_subnormals();
            if (small * tenth != 0) return 2;
            dlc_restore_float_state(state);
            dlc_pause();
            dlc_barrier_wait(&b, 1);
            return small * tenth == 0 || dlc_get(&b.generation) != 1 || dlc_seconds() <= 0;
        }""")
    run(cc, *flags("-O2"), "-Wall", "-Werror", f"-I{CSRC}", tmp_path / "sync.c", "-static", "-o", tmp_path / "sync")
    run(*emulator, tmp_path / "sync")


def newer_in(path):
    return sorted(set(NEWER.findall(run("objdump", "-d", "--no-show-raw-insn", path))))[:10]


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="needs x86-64")
def test_only_the_tables_have_avx(shipped, tmp_path):
    """Of the extensions the one that holds the tables, and of these not the baseline."""
    needs("objdump")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    extensions = sorted((Path(dlcore.__file__).parent / "kernels").glob(f"*{suffix}"))
    assert newer_in(next(path for path in extensions if path.name == f"simd{suffix}"))
    for path in extensions:
        assert path.name == f"simd{suffix}" or not newer_in(path), path.name
    assert not newer_in(shipped.with_name("isa_baseline.o"))
    run(*CC, *flags("-O3"), "-c", CSRC / "dispatch.c", "-o", tmp_path / "dispatch.o")
    assert not newer_in(tmp_path / "dispatch.o")
