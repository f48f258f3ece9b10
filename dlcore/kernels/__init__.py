"""Compiled kernels, one module per family. A factory such as `conv.conv2d_forward(...)` checks its buffers once and
returns a `Step`; the executor runs steps over ranges of tasks, on one or many threads."""

from importlib.util import find_spec

if find_spec("dlcore.kernels.simd") is None:
    raise ImportError(
        "this dlcore is a source folder without compiled kernels. Either `pip install .` and start Python in another "
        "folder, or build in place: python setup.py build_ext --inplace"
    )
