"""PyTorch: eager or compiled, NCHW or channels_last (nhwc), and each Adam. Cross-entropy takes logits, its best case.

Inductor turns the gradient of max_pool2d into slow scalar code on CPUs, so compiled "maximum" pools as the maximum
of four strided slices instead (equal winners share the gradient; the same network otherwise). "stock-malloc" leaves
glibc's malloc as it comes, see compare.py.
"""

import specs

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


def configs(model):
    """Those worth trying: all for the small network; compiling a large one takes minutes."""
    if model == "headline":
        return list(CONFIGS)
    some = ["eager nhwc fused", "eager nchw fused", "compile nhwc fused", "compile nchw fused"]
    return [*some, "compile nhwc fused maximum"] if specs.has(model, "maxpool") else some


def build(x, y, threads, model, layout, adam, mode=None, pool="max_pool2d"):
    """Return (versions, jobs, facts)."""
    import net_torch
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    nhwc = layout == "nhwc"
    net = net_torch.build(model, nhwc, pool == "maximum")
    images, labels = net_torch.images(x, model, nhwc), torch.from_numpy(y).long()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, eps=1e-7, **ADAM[adam])

    def loss_of(xb, yb):
        return F.cross_entropy(net(xb), yb)

    update = optimizer.step
    if mode:
        loss_of = torch.compile(loss_of, mode=mode)
    if adam == "compiled":
        update = torch.compile(optimizer.step)

    def step(index):
        loss = loss_of(images.index_select(0, index), labels.index_select(0, index))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        update()
        return loss

    def run(steps):
        while steps > 0:
            order = torch.randperm(len(images))
            batches = order.split(specs.BATCH)[: min(steps, len(images) // specs.BATCH)]
            for index in batches:
                loss = step(index)
            steps -= len(batches)
        return loss.item()

    first = torch.arange(specs.BATCH)
    facts = {"parameters": net_torch.parameters(net), "losses": [step(first).item() for _ in range(2)]}
    return {"torch": torch.__version__}, {"step": run}, facts
