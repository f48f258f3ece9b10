"""One framework in one configuration, in a process of its own: `python worker.py SPEC`.

SPEC is JSON: {"peer": "torch", "config": "eager nhwc fused", "threads": 2, "cpus": [0, 1], "data": "file.npz"}.
The worker pins itself, builds the model and then speaks lines of JSON: it says {"ready": versions} or {"error": text},
reads {"steps": n}, runs n training steps and answers {"steps": n, "seconds": s, "cpu_seconds": c, "loss": l}.
The loss is read inside the timed part, so that work queued by an asynchronous runtime is finished and counted.
"""

import importlib
import json
import os
import sys
import time


def main():
    """Serve turns until standard input closes."""
    spec = json.loads(sys.argv[1])
    replies = os.fdopen(os.dup(1), "w")  # libraries that print must not write into the protocol
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, spec["cpus"])  # before any import: thread pools are sized by it

    def reply(**message):
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    try:
        import numpy as np

        data = np.load(spec["data"])
        peer = importlib.import_module(f"with_{spec['peer']}")
        choices = {k: v for k, v in peer.CONFIGS[spec["config"]].items() if k != "stock_malloc"}  # the parent's part
        versions, run = peer.build(data["x"], data["y"], spec["threads"], **choices)
    except Exception as error:  # whatever a library under construction throws is an answer, not a crash
        reply(error=f"{type(error).__name__}: {error}")
        return
    reply(ready=versions)
    for line in sys.stdin:
        steps = json.loads(line)["steps"]
        cpu, start = time.process_time(), time.perf_counter()
        loss = run(steps)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        reply(steps=steps, seconds=seconds, cpu_seconds=cpu, loss=float(loss))


if __name__ == "__main__":
    main()
