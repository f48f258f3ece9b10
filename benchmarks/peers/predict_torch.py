"""PyTorch: eager in inference_mode, compiled, or traced and frozen; NCHW or channels_last (nhwc). "freezing" compiles
with the weights as constants, which Inductor may then pack."""

CONFIGS = {
    f"{how} {layout}": {"how": how, "layout": layout}
    for how in ("eager", "compile", "frozen")
    for layout in ("nchw", "nhwc")
}
CONFIGS["max-autotune nhwc"] = {"how": "max-autotune", "layout": "nhwc"}


CONFIGS |= {f"freezing {layout}": {"how": "freezing", "layout": layout} for layout in ("nchw", "nhwc")}


def configs(model):
    """Those worth trying: compiling a large network takes minutes."""
    if model == "headline":
        return list(CONFIGS)
    return [config for config in CONFIGS if not config.startswith(("compile", "max-autotune"))]


def build(x, y, threads, model, how, layout):
    """Return (versions, jobs, facts)."""
    import latency
    import net_torch
    import specs
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    nhwc = layout == "nhwc"
    net = nn.Sequential(net_torch.build(model, nhwc), nn.Softmax(dim=1)).eval()
    one, many = (net_torch.images(x[:n], model, nhwc) for n in (1, specs.NETWORKS[model].many))

    def forms(example):
        """The model for inputs of this shape."""
        if how == "frozen":
            with torch.no_grad():
                return torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, example)))
        if how == "eager":
            return net
        if how == "freezing":
            return torch.compile(net, dynamic=False, options={"freezing": True})
        mode = "default" if how == "compile" else how
        return torch.compile(net, mode=mode, dynamic=False)

    for_one, for_many = forms(one), forms(many)
    guard = torch.inference_mode() if how != "freezing" else torch.no_grad()
    guard.__enter__()  # for good: this process does nothing else
    facts = {"parameters": net_torch.parameters(net), "probabilities": for_one(one)[0].tolist()}
    return {"torch": torch.__version__}, latency.jobs(lambda: for_one(one), lambda: for_many(many)), facts
