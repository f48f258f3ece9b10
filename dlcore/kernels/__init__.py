"""Compiled kernels, one module per family. A factory such as `conv.conv2d_forward(...)` checks its buffers once and
returns a `Step`; the executor runs steps over ranges of tasks, on one or many threads."""
