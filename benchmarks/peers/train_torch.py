"""PyTorch: eager or compiled, NCHW or channels_last (nhwc), and each Adam. Cross-entropy takes logits, its best case.

Inductor turns the gradient of max_pool2d into slow scalar code on CPUs, so compiled "maximum" pools as the maximum
of four strided slices instead (equal winners share the gradient; the same network otherwise). "stock-malloc" leaves
glibc's malloc as it comes, see compare.py.
"""

ADAM = {"fused": {"fused": True}, "foreach": {"foreach": True}, "compiled": {}}

CONFIGS = {
    f"eager {layout} {adam}": {"layout": layout, "adam": adam}
    for layout in ("nhwc", "nchw")
    for adam in ("fused", "foreach")
}
CONFIGS |= {
    "eager nhwc fused stock-malloc": {"layout": "nhwc", "adam": "fused", "environment": {}},
    "compile nhwc fused": {"layout": "nhwc", "adam": "fused", "mode": "default"},
    "compile nchw fused": {"layout": "nchw", "adam": "fused", "mode": "default"},
    "compile nhwc compiled": {"layout": "nhwc", "adam": "compiled", "mode": "default"},
    "compile nhwc fused maximum": {"layout": "nhwc", "adam": "fused", "mode": "default", "pool": "maximum"},
    "max-autotune nhwc fused maximum": {"layout": "nhwc", "adam": "fused", "mode": "max-autotune", "pool": "maximum"},
}


def build(x, y, threads, layout, adam, mode=None, pool="max_pool2d"):
    """Return (versions, jobs). With nhwc, flattening follows memory order, as in Keras, so that it copies nothing."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    nhwc = layout == "nhwc"

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.dense = nn.Conv2d(1, 32, 3), nn.Linear(13 * 13 * 32, 10)

        def forward(self, images):
            h = F.relu(self.conv(images))
            if pool == "maximum":
                rows = torch.maximum(h[:, :, 0::2], h[:, :, 1::2])
                h = torch.maximum(rows[..., 0::2], rows[..., 1::2])
            else:
                h = F.max_pool2d(h, 2)
            return self.dense((h.permute(0, 2, 3, 1) if nhwc else h).flatten(1))

    model, images, labels = Net(), torch.from_numpy(x).reshape(-1, 1, 28, 28), torch.from_numpy(y).long()
    if nhwc:
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **ADAM[adam])

    def loss_of(xb, yb):
        return F.cross_entropy(model(xb), yb)

    update = optimizer.step
    if mode:
        loss_of = torch.compile(loss_of, mode=mode)
    if adam == "compiled":
        update = torch.compile(optimizer.step)

    def run(steps):
        while steps > 0:
            order = torch.randperm(len(images))
            batches = order.split(128)[: min(steps, len(images) // 128)]
            for index in batches:
                loss = loss_of(images.index_select(0, index), labels.index_select(0, index))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                update()
            steps -= len(batches)
        return loss.item()

    return {"torch": torch.__version__}, {"step": run}
