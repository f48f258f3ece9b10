"""No framework: the multiply-adds of one training step, from registers and on all threads. Who is faster does fewer.

They are counted by the definition of convolution (`specs.Network.multiply_adds`): for the headline network 70.6 million
for 128 images, of which 24.9 are the convolution, 24.9 its weight gradient (which vectors can do for whole windows
only, though three of four terms are zero) and 6.9 each the dense layer, its input and its weight gradient. Winograd's
algorithm needs fewer.
"""

CONFIGS = {"one step": {}}


def build(x, y, threads, isa, model="headline"):
    """Return (versions, jobs)."""
    import os

    import peak
    import specs

    machine, cpus = peak.Peak(isa), sorted(os.sched_getaffinity(0))[:threads]
    step = specs.BATCH * specs.NETWORKS[model].multiply_adds(training=True)

    def run(steps):
        machine.multiply_add(steps * step, cpus)
        return 0.0

    return {}, {"step": run}
