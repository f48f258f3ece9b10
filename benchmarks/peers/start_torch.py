"""`python start_torch.py SEED`: import PyTorch, load MNIST, train until 97.5 % of the test set are right; see
compare_start.py. The configuration that trains fastest, eager channels_last with the fused Adam; weights begin as Keras
begins them, so that both have the same way to go."""

import json
import os
import sys

import mnist_files
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
torch.manual_seed(int(sys.argv[1]))
x_train, y_train, x_test, y_test = mnist_files.read()


def images(x):
    x = torch.from_numpy(x / np.float32(255)).reshape(-1, 1, 28, 28)
    return x.to(memory_format=torch.channels_last)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.dense = nn.Conv2d(1, 32, 3), nn.Linear(13 * 13 * 32, 10)
        for layer in (self.conv, self.dense):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        h = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.dense(h.permute(0, 2, 3, 1).flatten(1))


x_train, x_test = images(x_train), images(x_test)
y_train, y_test = torch.from_numpy(y_train.astype(np.int64)), torch.from_numpy(y_test.astype(np.int64))
model = Net().to(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
epochs, accuracy = 0, 0.0
while accuracy < 0.975:
    for index in torch.randperm(len(x_train)).split(128):
        loss = F.cross_entropy(model(x_train.index_select(0, index)), y_train.index_select(0, index))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        right = sum(
            (model(x).argmax(1) == y).sum().item() for x, y in zip(x_test.split(256), y_test.split(256), strict=True)
        )
    accuracy = right / len(x_test)
    epochs += 1
print(json.dumps({"epochs": epochs, "accuracy": accuracy, "version": torch.__version__}), flush=True)
