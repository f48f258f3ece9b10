"""ONNX Runtime: all graph optimisations, 1 or 2 threads, which spin while they wait or not.

"bound" binds input and output once and runs with the same memory again and again; else each call takes and returns
NumPy arrays. Weights are constant initialisers, which lets ONNX Runtime reorder them for its blocked layout.
"""

CONFIGS = {
    f"{threads} thread{'s' * (threads > 1)}{spin}{bound}": {
        "intra": threads,
        "spinning": not spin,
        "bound": bool(bound),
    }
    for bound in ("", " bound")
    for threads, spin in ((1, ""), (2, ""), (2, " blocking"))
}


def model_bytes():
    """The network in ONNX; random weights."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    shapes = {"k": (32, 1, 3, 3), "kb": (32,), "w": (5408, 10), "wb": (10,)}
    weights = [
        numpy_helper.from_array(rng.normal(0, 0.05, shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "k", "kb"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], axis=1),
        helper.make_node("Gemm", ["f", "w", "wb"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"], axis=1),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 28, 28])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "mnist", [x], [y], weights)
    return onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def build(x, y, threads, intra, spinning, bound):
    """Return (versions, jobs)."""
    import latency
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads, options.inter_op_num_threads = intra, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    session = ort.InferenceSession(model_bytes(), options, providers=["CPUExecutionProvider"])

    def caller(n):
        images = np.ascontiguousarray(x[:n].reshape(n, 1, 28, 28))
        if not bound:
            return lambda: session.run(None, {"x": images})
        binding, out = session.io_binding(), np.empty((n, 10), np.float32)
        binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(images))
        binding.bind_output("y", "cpu", 0, np.float32, out.shape, out.ctypes.data)
        run = session.run_with_iobinding

        def call():
            run(binding)
            return out

        call()
        assert np.allclose(out, session.run(None, {"x": images})[0])
        return call

    return {"onnxruntime": ort.__version__}, latency.jobs(caller(1), caller(1024))
