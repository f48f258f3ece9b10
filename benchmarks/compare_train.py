"""Time one training step of a network in dlcore and in its peers: `python benchmarks/compare_train.py [--model NAME]`.

The networks stand in specs.py; that of Keras' MNIST example is the default: Conv2D 32 3x3 valid ReLU on 28x28x1,
MaxPool 2x2, Flatten, Dense 10, softmax. Sparse categorical cross-entropy, Adam 0.001, batch 128, float32. Batches come
in shuffled order, and every framework gathers them inside the timed step by its own in-memory means: index_select,
tf.gather, indexing, dlcore's fit. The peers may compute the loss on logits. "peak" is no framework: it does the
multiplications of the step, and nothing else, in registers (peers/bound_peak.py). How it is measured stands in
compare.py.
"""

import compare
import specs

MULTIPLY_ADDS = specs.BATCH * specs.NETWORKS["headline"].multiply_adds(training=True)  # of one step
PEERS = ["torch", "tensorflow"]  # and jax, several times slower than these


def chart(models, file):
    panels = [
        (f"{specs.NETWORKS[model].title}: one training step, batch {specs.BATCH}", found["results"]["step"]["rows"])
        for model, found in models.items()
    ]
    compare.draw(panels, file, "µs, lower is better")


def main():
    options = compare.parser(__doc__, PEERS).parse_args()
    with compare.prepared(options) as info:
        bound = [("bound", "peak", "one step")]
        models = compare.contests(
            "train", lambda model: {"step": specs.BATCH}, options.peers.split(","), options, extra=bound
        )
    if options.chart:
        chart(models, options.chart)
    compare.write_json(options, {"machine": info, "models": models})


if __name__ == "__main__":
    main()
