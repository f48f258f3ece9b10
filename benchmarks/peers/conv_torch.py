"""PyTorch's convolutions, one layout of activations and weights each; gradients one by one."""

CONFIGS = {"nchw": {"layout": "nchw"}, "nhwc": {"layout": "nhwc"}}


def build(x, y, threads, layout):
    """Return (versions, jobs)."""
    import conv_shapes
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    guard = torch.inference_mode()
    guard.__enter__()  # for good: this process does nothing else
    memory_format = torch.channels_last if layout == "nhwc" else torch.contiguous_format

    def cell(case, direction):
        x = torch.rand(case.batch, case.ic, case.side, case.side).contiguous(memory_format=memory_format)
        w = torch.rand(case.oc, case.ic // case.groups, case.size, case.size).contiguous(memory_format=memory_format)
        dy = torch.rand(case.batch, case.oc, case.out, case.out).contiguous(memory_format=memory_format)
        pairs = [[n] * 2 for n in (case.stride, case.pad, case.dilation)]
        if direction == "forward":
            return lambda: torch.conv2d(x, w, None, *pairs, case.groups)
        mask = [direction == "input gradient", direction == "weight gradient", False]
        backward = torch.ops.aten.convolution_backward
        return lambda: backward(dy, x, w, None, *pairs, False, [0, 0], case.groups, mask)

    return {"torch": torch.__version__}, conv_shapes.jobs(cell)
