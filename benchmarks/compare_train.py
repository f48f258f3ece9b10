"""Time one training step of Keras' MNIST CNN in dlcore and in its peers: `python benchmarks/compare_train.py`.

The network: Conv2D 32 3x3 valid ReLU on 28x28x1, MaxPool 2x2, Flatten, Dense 10, softmax, sparse categorical
cross-entropy, Adam 0.001, batch 128, float32. Batches come in shuffled order, and every framework gathers them inside
the timed step by its own in-memory means: index_select, tf.gather, indexing, dlcore's fit. The peers may compute the
loss on logits. "peak" is no framework: it does the multiplications of the step, and nothing else, in registers
(peers/bound_peak.py). How it is measured stands in compare.py.
"""

import compare

BATCH = 128
MULTIPLY_ADDS = 70_606_848  # of one step, see peers/bound_peak.py
PEERS = ["torch", "tensorflow"]  # and jax, several times slower than these


def chart(results, file):
    compare.draw([("One training step, batch 128", results["step"]["rows"])], file, "µs, lower is better")


def main():
    options = compare.parser(__doc__, PEERS).parse_args()
    with compare.prepared(options) as info:
        bound = [("bound", "peak", "one step")]
        results, ranking = compare.contest("train", {"step": BATCH}, options.peers.split(","), options, extra=bound)
    if options.chart:
        chart(results, options.chart)
    compare.write_json(options, {"machine": info, "results": results, "scan": ranking})


if __name__ == "__main__":
    main()
