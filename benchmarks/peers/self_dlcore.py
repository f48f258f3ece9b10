"""dlcore against itself: bare steps on one and on all threads, epochs of bare steps and of `fit`.

"passive" tells OpenMP's idle threads to sleep at once (OMP_WAIT_POLICY)."""

CONFIGS = {"default": {"environment": {}}, "passive": {"environment": {"OMP_WAIT_POLICY": "passive"}}}


def build(x, y, threads):
    """Return (versions, jobs); what is printed goes to a terminal that nobody looks at, as the bar expects one."""
    import os
    import pty
    import threading

    import network

    import dlcore

    master, terminal = pty.openpty()
    threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(master, 65536), b"")], daemon=True).start()
    os.dup2(terminal, 1)
    model = network.mnist_cnn(metrics=["accuracy"])
    bare = network.bare_steps(model, x, y)
    epoch = -(-len(x) // network.BATCH)
    jobs = {
        "step": lambda count: bare(count, threads),
        "step, 1 thread": lambda count: bare(count, 1),
        "bare epoch": lambda count: bare(count * epoch, threads),
        "fit epoch": lambda count: model.fit(x, y, epochs=count, batch_size=network.BATCH) and None,
    }
    return {"dlcore": dlcore.__version__}, jobs
