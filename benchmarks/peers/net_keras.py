"""A network of specs.py in Keras on TensorFlow."""

from specs import NETWORKS


def apply(keras, layers, x):
    for layer in layers:
        activation = None if layer.activation in ("linear", "relu6") else layer.activation
        window = {"strides": layer.stride, "padding": layer.padding, "use_bias": layer.bias, "activation": activation}
        if layer.kind == "conv":
            x = keras.layers.Conv2D(layer.units, layer.size, **window)(x)
        elif layer.kind == "depthwise":
            x = keras.layers.DepthwiseConv2D(layer.size, **window)(x)
        elif layer.kind == "dense":
            x = keras.layers.Dense(layer.units, activation=activation)(x)
        elif layer.kind == "norm":
            x = keras.layers.BatchNormalization()(x)
        elif layer.kind == "maxpool":
            x = keras.layers.MaxPooling2D(layer.size)(x)
        elif layer.kind == "avgpool":
            x = keras.layers.AveragePooling2D(layer.size)(x)
        elif layer.kind == "gap":
            x = keras.layers.GlobalAveragePooling2D()(x)
        elif layer.kind == "flatten":
            x = keras.layers.Flatten()(x)
        elif layer.kind == "residual":
            y, more = apply(keras, layer.inner, x), layer.units - x.shape[-1]
            if layer.stride > 1:
                x = keras.ops.pad(x[:, ::2, ::2, :], ((0, 0), (0, 0), (0, 0), (more // 2, more // 2)))
            x = keras.layers.Add()([y, x])
        if layer.activation == "relu6" or (activation and layer.kind in ("norm", "residual")):
            x = keras.layers.ReLU(6.0 if layer.activation == "relu6" else None)(x)
    return x


def build(keras, name, softmax):
    """The model, with the weights that all frameworks begin with; it gives probabilities or logits."""
    network = NETWORKS[name]
    inputs = keras.Input(network.shape)
    if any(layer.kind == "residual" for layer in network.layers):
        y = apply(keras, network.layers, inputs)
        model = keras.Model(inputs, keras.layers.Softmax()(y) if softmax else y)
    else:  # the same layers in a Sequential, which calls them with less ado
        y = apply(keras, network.layers, inputs)
        model = keras.Sequential([inputs, *keras.Model(inputs, y).layers[1:]])
        if softmax:
            model.add(keras.layers.Softmax())
    model.set_weights([array for arrays in network.weights() for array in arrays])
    return model


def parameters(model):
    return sum(int(weight.value.shape.num_elements()) for weight in model.trainable_weights)
