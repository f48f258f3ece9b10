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


def build(x, y, threads, model, intra, spinning, bound):
    """Return (versions, jobs, facts)."""
    import latency
    import net_onnx
    import numpy as np
    import onnxruntime as ort
    import specs

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads, options.inter_op_num_threads = intra, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    session = ort.InferenceSession(net_onnx.model_bytes(model), options, providers=["CPUExecutionProvider"])

    def caller(n):
        images = np.ascontiguousarray(np.moveaxis(x[:n], -1, 1))
        if not bound:
            return lambda: session.run(None, {"x": images})
        binding, out = session.io_binding(), np.empty((n, 10), np.float32)
        binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(images))
        binding.bind_output(session.get_outputs()[0].name, "cpu", 0, np.float32, out.shape, out.ctypes.data)
        run = session.run_with_iobinding

        def call():
            run(binding)
            return out

        call()
        assert np.allclose(out, session.run(None, {"x": images})[0], rtol=1e-3, atol=1e-5)
        return call

    one, network = caller(1), specs.NETWORKS[model]
    facts = {"probabilities": np.ravel(one()).tolist()}  # its parameters are folded
    return {"onnxruntime": ort.__version__}, latency.jobs(one, caller(network.many)), facts
