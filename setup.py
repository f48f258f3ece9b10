"""Builds the extensions of dlcore; everything that is not about compiling stands in pyproject.toml.

Each dlcore/kernels/<stem>.pyx becomes the extension dlcore.kernels.<stem>. Two of them are special:
`simd` links the C files of csrc/ (one object per instruction set), `executor` is built with OpenMP.

Environment:
    DLCORE_OPENMP=auto|0|1     auto (default) uses OpenMP where it works, 0 never, 1 insists on it
    DLCORE_REQUIRE_OPENMP=1    the same as DLCORE_OPENMP=1
    DLCORE_DEBUG=1             bounds checks, C asserts, debug symbols, -O1
"""

import errno
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

KERNELS = Path("dlcore/kernels")
CSRC = Path("csrc")
INCLUDE = ["csrc", "dlcore/kernels"]
SIMD, OPENMP_DOOR = "dlcore.kernels.simd", "dlcore.kernels.executor"

DEBUG = os.environ.get("DLCORE_DEBUG", "0") not in ("", "0")
MODE = "debug" if DEBUG else "release"

# Nothing here may loosen what NaN or infinity mean, or tie the build to the CPU it happens to run on.
CFLAGS = ["-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fvisibility=hidden"]
CFLAGS += ["-O1", "-g", "-UNDEBUG"] if DEBUG else ["-O3", "-g0"]
OPTIONAL_CFLAGS = ["-fno-semantic-interposition"]
FORBIDDEN = {"-ffast-math", "-Ofast", "-funsafe-math-optimizations"}
LDFLAGS = ["-s"] if sys.platform.startswith("linux") and not DEBUG else []

# csrc/isa_<name>.c: the macro that names its processor, flags it needs, flags that are only nice to have.
# A macOS universal build compiles for two processors at once and therefore gets the baseline alone.
ISA = {
    "baseline": (None, [], []),
    "avx2": ("__x86_64__", ["-mavx2", "-mfma"], ["-mprfchw"]),
    "avx512": (
        "__x86_64__",
        ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mavx2", "-mfma"],
        ["-mprefer-vector-width=512", "-mprfchw"],
    ),
    "neon": ("__aarch64__", [], []),
}

NO_COMPILER = (
    "Debian and Ubuntu: apt install build-essential python3-dev; Fedora: dnf install gcc python3-devel; "
    "macOS: xcode-select --install"
)

OPENMP_PROGRAM = """
#include <omp.h>
int main(void) {
    int sum = 0;
    #pragma omp parallel for reduction(+ : sum) num_threads(2)
    for (int i = 1; i <= 4; i++) sum += i;
    return omp_get_max_threads() < 1 || sum != 10;
}
"""
OPENMP_CANDIDATES = [(["-fopenmp"], ["-fopenmp"])]
if sys.platform == "darwin":  # Apple's clang knows OpenMP but ships no runtime; Homebrew has it in one of two places
    for prefix in ("/opt/homebrew/opt/libomp", "/usr/local/opt/libomp"):
        OPENMP_CANDIDATES.append((["-Xpreprocessor", "-fopenmp", f"-I{prefix}/include"], [f"-L{prefix}/lib", "-lomp"]))
    OPENMP_CANDIDATES.append((["-Xpreprocessor", "-fopenmp"], ["-lomp"]))

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
}


def sources():
    """The files whose content decides what the extensions are."""
    found = [path for end in ("pyx", "pxd", "h") for path in KERNELS.glob(f"*.{end}")]
    found += [path for end in ("c", "h", "inc") for path in CSRC.glob(f"*.{end}")]
    return sorted(found, key=Path.as_posix)


def source_sha256():
    """Tells a stale in-place build: tests/test_build.py computes the same sum from the checkout."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def write_if_changed(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


class Probe:
    """Asks the compiler what it can do, quietly: a refusal is an answer, not an error."""

    def __init__(self, compiler):
        self.compile = compiler.compiler_so
        self.link = [*compiler.compiler_so, *shlex.split(os.environ.get("LDFLAGS", ""))]
        self.error = ""

    def run(self, *command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        except OSError as error:
            self.error = str(error)
            return error.errno == errno.ENOEXEC  # built for another machine: that it links has to do
        self.error = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
        return done.returncode == 0

    def accepts(self, flags, macro=None, code="int probe;\n", link=None):
        """True when `code` compiles with `flags` where `macro` is defined; with `link`, when it links and runs too."""
        guard = f"#ifndef {macro}\n#error not this processor\n#endif\n" if macro else ""
        with tempfile.TemporaryDirectory() as folder:
            c, o, exe = (os.path.join(folder, name) for name in ("probe.c", "probe.o", "probe"))
            Path(c).write_text(guard + code, encoding="ascii")
            if not self.run(*self.compile, *flags, "-c", c, "-o", o):
                return False
            return link is None or (self.run(*self.link, o, "-o", exe, *link) and self.run(exe))

    def optional(self, flags):
        return [flag for flag in flags if self.accepts(["-Werror", flag])]

    def version(self):
        done = subprocess.run([self.compile[0], "--version"], capture_output=True, text=True, errors="replace")
        return done.stdout.partition("\n")[0]

    def isas(self):
        """{name: flags} of the instruction sets in csrc/ that this compiler can build for this processor."""
        found = {}
        for path in sorted(CSRC.glob("isa_*.c")):
            name = path.stem[len("isa_") :]
            macro, needed, nice = ISA[name]
            if self.accepts(needed, macro):
                found[name] = needed + [flag for flag in nice if self.accepts([*needed, flag])]
        return found

    def openmp(self):
        """(compile flags, link flags); both empty for a serial build."""
        wish = os.environ.get("DLCORE_OPENMP", "auto")
        must = os.environ.get("DLCORE_REQUIRE_OPENMP", "0") not in ("", "0") or wish == "1"
        if wish not in ("auto", "0", "1"):
            raise SystemExit(f"DLCORE_OPENMP must be auto, 0 or 1, not {wish!r}.")
        if wish != "0":
            for cflags, ldflags in OPENMP_CANDIDATES:
                if self.accepts(cflags, code=OPENMP_PROGRAM, link=ldflags):
                    return cflags, ldflags
        reason = "DLCORE_OPENMP=0" if wish == "0" else self.error or "the test program failed"
        if must:
            raise SystemExit(f"dlcore: OpenMP is required (DLCORE_REQUIRE_OPENMP or DLCORE_OPENMP=1) but: {reason}")
        print(f"dlcore: building without OpenMP, every kernel will use one thread ({reason}).", file=sys.stderr)
        return [], []


class BuildExt(build_ext):
    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or True  # one job per CPU
        self.into_checkout = self.inplace  # setuptools hides `inplace` from the building itself
        if self.editable_mode:  # pip hands out temporary folders; lasting ones let a rebuild skip what did not change
            tag = f"{self.plat_name}-{sys.implementation.cache_tag}"
            self.build_lib, self.build_temp = f"build/editable-lib.{tag}", f"build/editable-temp.{tag}"

    def build_extensions(self):
        if self.compiler.compiler_type != "unix":
            raise SystemExit("dlcore builds with GCC or Clang on Linux and macOS; on Windows use WSL, not MSVC.")
        forbidden = FORBIDDEN.intersection([*self.compiler.compiler_so, *self.compiler.linker_so])
        if forbidden:
            raise SystemExit(
                f"dlcore: remove {', '.join(sorted(forbidden))} from CFLAGS or LDFLAGS: a library linked "
                "with it changes the floating-point mode of every program that imports it."
            )
        probe = Probe(self.compiler)
        if not probe.accepts([]):
            raise SystemExit(f"dlcore needs a C compiler ({NO_COMPILER}), but: {probe.error}")
        cflags = CFLAGS + probe.optional(OPTIONAL_CFLAGS)
        isas = probe.isas()
        omp_cflags, omp_ldflags = probe.openmp()
        facts = {
            "COMPILER": probe.version(),
            "CFLAGS": cflags,
            "LDFLAGS": LDFLAGS,
            "ISAS": isas,
            "OPENMP": bool(omp_cflags),
            "OPENMP_FLAGS": [*omp_cflags, *omp_ldflags],
            "DEBUG": DEBUG,
        }
        config = '"""How this build of dlcore was made; written by setup.py."""\n\n'
        config += "".join(f"{name} = {value!r}\n" for name, value in facts.items())
        stamp = Path(self.build_temp, "build_config.stamp")  # newer than all that was built in another way
        write_if_changed(stamp, config)
        stamp = stamp.as_posix()

        # Not at import of this file, so that an sdist needs no Cython run; not beside the .pyx, so that none ships.
        done = cythonize(
            self.extensions,
            build_dir=f"build/cython-{MODE}",
            compiler_directives=DIRECTIVES,
            nthreads=os.cpu_count(),
            force=self.force,
            quiet=True,
        )
        public_headers = [path.as_posix() for path in CSRC.glob("*.h") if path.name != "simd.h"]
        for ext, generated in zip(self.extensions, done, strict=True):
            ext.sources = generated.sources
            ext.depends = [stamp, *public_headers]
            ext.extra_compile_args, ext.extra_link_args = [*cflags], [*LDFLAGS]
            if ext.name == OPENMP_DOOR:
                ext.depends.append((KERNELS / "openmp.h").as_posix())
                ext.extra_compile_args += omp_cflags
                ext.extra_link_args += omp_ldflags
            if ext.name == SIMD:
                ext.extra_objects = self.build_csrc(cflags, isas, stamp)
                ext.depends += ext.extra_objects
        super().build_extensions()
        config += f"SOURCE_SHA256 = {source_sha256()!r}\n"
        for folder in [self.build_lib, "."] if self.into_checkout else [self.build_lib]:
            write_if_changed(Path(folder, "dlcore/_build_config.py"), config)

    def build_csrc(self, cflags, isas, stamp):
        """Compile csrc/dispatch.c and one isa_<name>.c per instruction set, each with its own flags."""
        shared = [stamp, *(path.as_posix() for path in [*CSRC.glob("*.h"), *CSRC.glob("*.inc")])]
        have = [(f"DLC_HAVE_{name.upper()}", "1") for name in isas]
        jobs = [("csrc/dispatch.c", [], have), *((f"csrc/isa_{name}.c", flags, []) for name, flags in isas.items())]

        def build(job):
            source, flags, macros = job
            (target,) = self.compiler.object_filenames([source], output_dir=self.build_temp)
            if self.force or newer_group([source, *shared], target):
                self.compiler.compile(
                    [source],
                    output_dir=self.build_temp,
                    macros=macros,
                    include_dirs=["csrc"],
                    extra_postargs=[*cflags, *flags],
                )
            return target

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(build, jobs))

    def get_outputs(self):
        return [*super().get_outputs(), os.path.join(self.build_lib, "dlcore", "_build_config.py")]


def extensions():
    paths = sorted(KERNELS.glob("*.pyx"))
    return [Extension(f"dlcore.kernels.{path.stem}", [path.as_posix()], include_dirs=INCLUDE) for path in paths]


if __name__ == "__main__":  # Cython's worker processes may import this file
    setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt})
