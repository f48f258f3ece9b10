"""`python memory_dlcore.py DATA [train]`: print the peak memory in MB of a process that has loaded the arrays, and with
`train` trained for one epoch."""

import pathlib
import sys

import numpy as np

data = np.load(sys.argv[1])
x, y = data["x"], data["y"]
if sys.argv[2:] == ["train"]:
    sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
    import network

    network.mnist_cnn(metrics=["accuracy"]).fit(x, y, batch_size=network.BATCH, verbose=1)
lines = pathlib.Path("/proc/self/status").read_text().splitlines()
print("\n", next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024)
