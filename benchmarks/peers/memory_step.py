"""`python memory_step.py PEER DATA STEPS`: train STEPS steps of ResNet-20 at batch 128 and print the peak of resident
memory over what the process had with its library imported, its threads started and the data loaded, in MB.

Or `python memory_step.py dlcore DATA predict COUNT`: the growth of resident memory over so many predictions of mixed
batch sizes, after a tenth as many.
"""

import os
import pathlib
import sys

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import specs

MODEL = "resnet20"


def resident(field):
    """VmRSS, what is resident now, or VmHWM, the most since the process began, in MB."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1024


def torch_steps(x, y, count):
    """(start, run): the first begins what a process of the library has anyway."""
    import net_torch
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    images, labels = net_torch.images(x, MODEL, True), torch.from_numpy(y).long()

    def run():
        net = net_torch.build(MODEL, True)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
        for step in range(count):
            rows = torch.arange(step * specs.BATCH, (step + 1) * specs.BATCH)
            loss = F.cross_entropy(net(images.index_select(0, rows)), labels.index_select(0, rows))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return lambda: torch.conv2d(torch.ones(1, 3, 8, 8), torch.ones(3, 3, 3, 3)), run


def dlcore_steps(x, y, count):
    import network

    rows = specs.BATCH * count
    if rows > len(x):
        raise ValueError(f"{len(x)} images are {len(x) // specs.BATCH} steps. Received: {count}")

    def run():
        network.compared(MODEL).fit(x[:rows], y[:rows], batch_size=specs.BATCH, verbose=0)

    return lambda: None, run


def predict_growth(x, count):
    import network

    model, rng = network.compared(MODEL), np.random.default_rng(0)

    def run(times):
        for n in rng.integers(1, 33, times):
            model.predict(x[:n])

    run(count // 10)
    before = resident("VmRSS")
    run(count)
    return resident("VmRSS") - before


def main():
    peer, file, *how = sys.argv[1:]
    with np.load(file) as data:
        x, y = data["x"], data["y"]
    if how[0] == "predict":
        print("\n", predict_growth(x, int(how[1])))
        return
    start, run = {"torch": torch_steps, "dlcore": dlcore_steps}[peer](x, y, int(how[0]))
    start()
    before = resident("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins again at VmRSS
    run()
    print("\n", resident("VmHWM") - before)


if __name__ == "__main__":
    main()
