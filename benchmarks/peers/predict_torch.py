"""PyTorch: eager in inference_mode, compiled, or traced and frozen; NCHW or channels_last (nhwc)."""

CONFIGS = {
    f"{how} {layout}": {"how": how, "layout": layout}
    for how in ("eager", "compile", "frozen")
    for layout in ("nchw", "nhwc")
}
CONFIGS["max-autotune nhwc"] = {"how": "max-autotune", "layout": "nhwc"}


def build(x, y, threads, how, layout):
    """Return (versions, jobs). With nhwc, flattening follows memory order, as in Keras, so that it copies nothing."""
    import latency
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    nhwc = layout == "nhwc"

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.dense = nn.Conv2d(1, 32, 3), nn.Linear(13 * 13 * 32, 10)

        def forward(self, images):
            h = F.max_pool2d(F.relu(self.conv(images)), 2)
            return F.softmax(self.dense((h.permute(0, 2, 3, 1) if nhwc else h).flatten(1)), dim=1)

    model, images = Net().eval(), torch.from_numpy(x[:1024].copy()).reshape(-1, 1, 28, 28)
    memory_format = torch.channels_last if nhwc else torch.contiguous_format
    model = model.to(memory_format=memory_format)
    one, many = (images[:n].clone().contiguous(memory_format=memory_format) for n in (1, 1024))

    def forms(example):
        """The model for inputs of this shape."""
        if how == "frozen":
            with torch.no_grad():
                return torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, example)))
        if how == "eager":
            return model
        mode = "default" if how == "compile" else how
        return torch.compile(model, mode=mode, dynamic=False)

    for_one, for_many = forms(one), forms(many)
    guard = torch.inference_mode()
    guard.__enter__()  # for good: this process does nothing else

    return {"torch": torch.__version__}, latency.jobs(lambda: for_one(one), lambda: for_many(many))
