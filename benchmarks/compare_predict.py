"""Time predictions of a network in dlcore and in its peers: `python benchmarks/compare_predict.py [--model NAME]`.

The networks of compare_train.py, softmax included. Three jobs: "one" predicts a single image, call after call; "cold"
does it after a pause of 20 ms, as a service with little to do would; "many" predicts 1024 images in one call (or as
many as the framework likes best), 128 of the larger networks. Every call of the first two is timed for itself. Each
framework has its input in its own type and layout before the clock starts, and gives back an array. How it is measured
stands in compare.py.
"""

import compare
import specs

TITLES = {"one": "one image, call after call", "cold": "one image after a pause of 20 ms", "many": "{} images"}
PEERS = ["onnxruntime", "torch", "tensorflow", "jax"]


def jobs(model):
    return {"one": 1, "cold": 1, "many": specs.NETWORKS[model].many}


def chart(models, file):
    panels = [
        (f"{specs.NETWORKS[model].title}: {TITLES[job].format(jobs(model)[job])}", result["rows"])
        for model, found in models.items()
        for job, result in found["results"].items()
    ]
    compare.draw(panels, file, "µs, lower is better")


def main():
    options = compare.parser(__doc__, PEERS, turn=0.5).parse_args()
    with compare.prepared(options) as info:
        models = compare.contests("predict", jobs, options.peers.split(","), options)
    if options.chart:
        chart(models, options.chart)
    compare.write_json(options, {"machine": info, "models": models})


if __name__ == "__main__":
    main()
