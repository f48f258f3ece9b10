"""Time predictions of Keras' MNIST CNN in dlcore and in its peers: `python benchmarks/compare_predict.py`.

The network of compare_train.py, softmax included. Three jobs: "one" predicts a single image, call after call; "cold"
does it after a pause of 20 ms, as a service with little to do would; "many" predicts 1024 images in one call (or as
many as the framework likes best). Every call of the first two is timed for itself. Each framework has its input in
its own type and layout before the clock starts, and gives back an array. How it is measured stands in compare.py.
"""

import compare

JOBS = {"one": 1, "cold": 1, "many": 1024}
TITLES = {"one": "One image, call after call", "cold": "One image after a pause of 20 ms", "many": "1024 images"}
PEERS = ["onnxruntime", "torch", "tensorflow", "jax"]


def chart(results, file):
    compare.draw([(TITLES[job], result["rows"]) for job, result in results.items()], file, "µs, lower is better")


def main():
    options = compare.parser(__doc__, PEERS, turn=0.5).parse_args()
    with compare.prepared(options) as info:
        results, ranking = compare.contest("predict", JOBS, options.peers.split(","), options)
    if options.chart:
        chart(results, options.chart)
    compare.write_json(options, {"machine": info, "results": results, "scan": ranking})


if __name__ == "__main__":
    main()
