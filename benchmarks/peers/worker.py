"""One framework in one configuration, in a process of its own: `python worker.py SPEC`.

SPEC is JSON: {"task": "train", "peer": "torch", "config": "eager nhwc fused", "threads": 2, "cpus": [0, 1],
"data": "file.npz", "isa": "avx2", "model": "vgg"}. The worker pins itself, builds what <task>_<peer>.py says and then
speaks lines of JSON: it says {"ready": versions, "facts": what tells whether all have the same network} or
{"error": text}, reads {"job": name, "count": n}, does the job n times and answers {"count": n, "seconds": s,
"cpu_seconds": c} and what the job returned: a {"value": number}, the loss for instance, or {"calls": [seconds of
each]}. The value is read inside the timed part, so that work queued by an asynchronous runtime is finished and counted.
"""

import importlib
import json
import os
import pathlib
import sys
import time

PARENTS_PART = ("environment",)  # of a configuration; the rest are arguments of build
MODELS_PART = ("train", "predict", "bound")  # tasks that are about one network of specs.py


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

        sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
        data = np.load(spec["data"])
        peer = importlib.import_module(f"{spec['task']}_{spec['peer']}")
        choices = {k: v for k, v in peer.CONFIGS[spec["config"]].items() if k not in PARENTS_PART}
        if spec["peer"] == "peak":
            choices["isa"] = spec["isa"]
        if spec["task"] in MODELS_PART:
            choices["model"] = spec["model"]
        versions, jobs, *facts = peer.build(data["x"], data["y"], spec["threads"], **choices)
    except Exception as error:  # whatever a library under construction throws is an answer, not a crash
        reply(error=f"{type(error).__name__}: {error}")
        return
    reply(ready=versions, facts=facts[0] if facts else {})
    for line in sys.stdin:
        wish = json.loads(line)
        cpu, start = time.process_time(), time.perf_counter()
        result = jobs[wish["job"]](wish["count"])
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        key = "calls" if isinstance(result, list) else "value"
        reply(count=wish["count"], seconds=seconds, cpu_seconds=cpu, **{key: result})


if __name__ == "__main__":
    main()
