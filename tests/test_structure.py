"""The rules of the house that a tool can check: who may use whom, size of files, docstrings, imports."""

import ast
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import dlcore

ROOT = Path(dlcore.__file__).parent
CHECKOUT = Path(__file__).parents[1]
FILES = sorted(ROOT.rglob("*.py"))
PYX = sorted((CHECKOUT / "dlcore/kernels").glob("*.pyx"))  # an installed package has none


def name_of(path):
    """dlcore.ops.conv for .../dlcore/ops/conv.py"""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """(module, whether it is imported when the file is), for every import but those that only type checkers see."""
    found, package = [], name_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]

    def walk(node, late):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, late) for alias in child.names)
            if isinstance(child, ast.ImportFrom):
                base = ".".join([*package[: len(package) - child.level + 1], child.module or ""]).strip(".")
                base = base if child.level else child.module
                for alias in child.names:
                    inner = ROOT.parent.joinpath(*base.split("."), alias.name)
                    whole = inner.with_suffix(".py").exists() or inner.is_dir() or base == "dlcore.kernels"
                    found.append((f"{base}.{alias.name}" if base.startswith("dlcore") and whole else base, late))
            walk(child, late or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    walk(ast.parse(path.read_text()), False)
    return found


SHARED = {"executor", "locks", "memory", "pace", "simd"}  # what kernels may use of each other
OPS_THEMSELVES = "dlcore.ops.base"  # the Op protocol
DATA_GATES = ("dlcore.ops.data", "dlcore.kernels.data", "dlcore.kernels.executor", "dlcore.kernels.memory")
LOCKS = "dlcore.kernels.locks"
EVERYWHERE = ("dlcore._arguments", "dlcore._objects")  # which arguments there are, and what users registered by name
WORDS = ("dlcore.activations", "dlcore.initializers", "dlcore._random", "dlcore.losses", "dlcore.metrics",
         "dlcore.optimizers", "dlcore.callbacks", "dlcore.config", "dlcore.regularizers",
         "dlcore.constraints")  # fmt: skip
MAY_USE = {  # room: what its files may import of dlcore. The longest match holds.
    "dlcore.kernels": (),
    "dlcore.ops": ("dlcore.kernels", "dlcore.ops", "dlcore.config"),
    "dlcore.graph": ("dlcore.graph", OPS_THEMSELVES, *DATA_GATES[1:]),
    "dlcore.graph.fuse": ("dlcore.graph", "dlcore.ops"),  # the one place that names ops
    "dlcore.graph.eager": ("dlcore.graph", OPS_THEMSELVES, *DATA_GATES),
    "dlcore._objects": (),
    "dlcore.activations": ("dlcore.ops",),
    "dlcore.initializers": ("dlcore._random",),
    "dlcore.regularizers": ("dlcore.ops", "dlcore.kernels.norms"),
    "dlcore.constraints": ("dlcore.ops", "dlcore.kernels.norms"),
    "dlcore._random": (),
    "dlcore.losses": ("dlcore.ops", "dlcore.losses", "dlcore.graph.eager"),
    "dlcore.metrics": ("dlcore.ops", "dlcore.losses", "dlcore.metrics", "dlcore.graph.eager"),
    "dlcore.optimizers": ("dlcore.optimizers", "dlcore.ops", "dlcore.kernels.executor",
                          "dlcore.graph.program"),
    "dlcore.config": ("dlcore.kernels.executor", "dlcore.kernels.simd", "dlcore._version", "dlcore._build_config"),
    "dlcore.callbacks": ("dlcore._extras", "dlcore.callbacks", "dlcore.saving"),
    "dlcore.utils": ("dlcore._random", "dlcore.utils"),
    "dlcore._arguments": (),
    "dlcore.layers": ("dlcore.layers.base", "dlcore.layers.checks", "dlcore.layers.trace",
                      "dlcore.layers.spatial", "dlcore.ops", "dlcore.regularizers", "dlcore.constraints", *WORDS[:3]),
    "dlcore.layers.base": ("dlcore.layers.checks", "dlcore.layers.trace", "dlcore.ops", *WORDS[:2],
                           "dlcore.regularizers", "dlcore.constraints", "dlcore.graph.eager"),
    "dlcore.layers.trace": ("dlcore.ops",),
    "dlcore.models": ("dlcore.models", "dlcore.layers.base", "dlcore.layers.checks", "dlcore.layers.shape",
                      "dlcore.layers.trace", "dlcore.graph", "dlcore.ops", *WORDS, *DATA_GATES[1:], LOCKS,
                      "dlcore.saving"),
    "dlcore.utils.images": ("dlcore._extras",),
    "dlcore.utils.model_plot": ("dlcore._extras", "dlcore.utils.layout", "dlcore.utils.model_graph"),
    "dlcore.utils.image_dataset": ("dlcore._random", "dlcore.utils.images", "dlcore.ops.resize"),
    "dlcore.preprocessing": (),
    "dlcore.sklearn": ("dlcore.sklearn", "dlcore._extras", "dlcore.models", "dlcore.layers", "dlcore.losses",
                       "dlcore.optimizers", "dlcore._random"),
    "dlcore.datasets": ("dlcore.datasets",),
}  # fmt: skip


def within(module, rooms):
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def test_who_may_use_whom():
    wrong = []
    for path in FILES:
        me = name_of(path)
        room = max((key for key in MAY_USE if within(me, [key])), key=len, default=None)
        if room is None or me in ("dlcore", "dlcore.layers"):  # the rooms above all others, and lists of names
            continue
        wrong += [f"{me} imports {module}" for module, _ in imports(path)
                  if within(module, ["dlcore"]) and not within(module, [*EVERYWHERE, *MAY_USE[room]])]  # fmt: skip
    assert wrong == []


def test_models_look_up_to_saving_only_when_asked():
    """saving stands on models, and those on callbacks, so both may call it but not need it."""
    now = {name_of(path) for path in FILES if within(name_of(path), ["dlcore.models", "dlcore.callbacks"])
           for module, late in imports(path) if module.startswith("dlcore.saving") and not late}  # fmt: skip
    assert now <= {"dlcore.models"}  # `from dlcore.models import load_model` is Keras' spelling


@pytest.mark.skipif(not PYX, reason="an installed package has no sources")
def test_kernels_use_only_what_is_shared():
    used = {}
    for path in [*PYX, *(CHECKOUT / "dlcore/kernels").glob("*.pxd")]:
        text = path.read_text()
        used[path.name] = set(re.findall(r"^(?:from|c?import) (dlcore[\w.]*)", text, re.MULTILINE))
    shared = {f"dlcore.kernels.{path.stem}" for path in (CHECKOUT / "dlcore/kernels").glob("*.pxd")}
    assert {name: modules - shared for name, modules in used.items() if modules - shared} == {}
    assert {path.stem for path in PYX if f"dlcore.kernels.{path.stem}" in shared} == SHARED
    alone = [f"{stem}.pxd" for stem in SHARED] + [f"{stem}.pyx" for stem in SHARED - {"executor"}]
    assert {name: used[name] for name in alone if used[name]} == {}
    assert used["executor.pyx"] == {"dlcore.kernels.memory", "dlcore.kernels.pace"}


@pytest.mark.skipif(not PYX, reason="an installed package has no sources")
def test_threads_exist_in_the_executor_only():
    for path in PYX:
        assert (path.stem == "executor") == bool(re.search(r"\bprange\b|cython\.parallel|omp_", path.read_text())), path
    for path in (CHECKOUT / "csrc").iterdir():
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"#\s*pragma\s+omp|\bomp_|Python\.h|\b[mc]alloc\(|\bfree\(", code), path


@pytest.mark.skipif(not PYX, reason="an installed package has no sources")
def test_every_kernel_has_its_op_its_types_and_its_tests():
    for path in PYX:
        assert path.with_suffix(".pyi").exists(), path.name
        assert (CHECKOUT / f"tests/kernels/test_{path.stem}.py").exists(), path.name
        if path.stem not in SHARED:
            assert (CHECKOUT / f"dlcore/ops/{path.stem}.py").exists(), path.name


LONGEST = 450


@pytest.mark.skipif(not PYX, reason="an installed package has no sources")
def test_files_are_short_enough_to_be_held_whole():
    paths = [path for folder in ("dlcore", "csrc") for path in (CHECKOUT / folder).rglob("*")
             if path.suffix in (".py", ".pyx", ".pyi", ".pxd", ".c", ".h", ".inc")]  # fmt: skip
    lengths = {path: len(path.read_text().splitlines()) for path in paths
               if path.suffix != ".c" or not path.with_suffix(".pyx").exists()}  # fmt: skip
    assert [f"{path.name}: {n}" for path, n in lengths.items() if n > LONGEST] == []


def test_importing_brings_only_the_standard_library_and_numpy():
    allowed = {*sys.stdlib_module_names, "numpy", "dlcore"}
    heavy = [f"{name_of(path)} imports {module}" for path in FILES for module, late in imports(path)
             if not late and module.split(".")[0] not in allowed]  # fmt: skip
    assert heavy == []


def test_optional_libraries_have_one_home_each():
    homes = {}
    for path in FILES:
        for module, late in imports(path):
            if late and module.split(".")[0] not in {*sys.stdlib_module_names, "numpy", "dlcore"}:
                homes.setdefault(module.split(".")[0], set()).add(name_of(path))
    homes.pop("tqdm", None)  # a dependency, wherever something takes long
    assert {library: files for library, files in homes.items() if len(files) > 1} == {}


def test_what_is_public_says_what_it_is():
    """Modules, functions and classes. An op class is described by the function that makes it, or its kernel."""
    silent = []
    for path in FILES:
        tree, me = ast.parse(path.read_text()), name_of(path)
        silent += [me] if ast.get_docstring(tree) is None else []
        for node in tree.body:
            op = within(me, ["dlcore.ops"]) and isinstance(node, ast.ClassDef) and node.bases
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_") and not op:
                silent += [f"{me}.{node.name}"] if ast.get_docstring(node) is None else []
    assert silent == []


def test_layers_link_to_the_documentation_of_keras():
    from dlcore import layers

    for name in layers.__all__:
        if name not in ("Layer",):
            assert "https://keras.io/api/layers/" in getattr(layers, name).__doc__, name


def test_public_names_exist():
    for path in FILES:
        if name_of(path) == "dlcore.sklearn" and find_spec("sklearn") is None:
            continue  # an extra
        if path.name == "__init__.py" and "__all__" in path.read_text():
            module = __import__(name_of(path), fromlist=["__all__"])
            assert len(set(module.__all__)) == len(module.__all__)
            assert all(hasattr(module, name) for name in module.__all__)
