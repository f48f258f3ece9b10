"""Networks written once for two libraries: each function takes `keras`, which is the module `dlcore` or Keras itself.

Sizes are those of the paper or of Keras' own models by default, and may be made small. `activation` replaces ReLU where
a test needs slopes without corners, and `pooling` "Average" the maximum.
"""


def mlp(keras, shape=(784,), classes=10, units=(512, 512), activation="relu"):
    """Dense layers: that of Keras' MNIST example, without its dropout."""
    x = inputs = keras.Input(shape)
    for count in units:
        x = keras.layers.Dense(count, activation=activation)(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))


def lenet5(keras, shape=(28, 28, 1), classes=10, activation="tanh"):
    """LeCun et al. 1998, with full connections between its feature maps, as a Sequential."""
    layers = keras.layers
    return keras.Sequential([
        keras.Input(shape),
        layers.Conv2D(6, 5, padding="same", activation=activation), layers.AveragePooling2D(2),
        layers.Conv2D(16, 5, activation=activation), layers.AveragePooling2D(2), layers.Flatten(),
        layers.Dense(120, activation=activation), layers.Dense(84, activation=activation),
        layers.Dense(classes, activation="softmax"),
    ])  # fmt: skip


def vgg16(keras, shape=(32, 32, 3), classes=None, width=64, blocks=(2, 2, 3, 3, 3), units=512, *, activation="relu",
          pooling="Max"):  # fmt: skip
    """Simonyan and Zisserman 2014 (arXiv 1409.1556); without `classes` the convolutions only."""
    layers, x = keras.layers, keras.Input(shape)
    inputs = x
    for i, count in enumerate(blocks):
        for _ in range(count):
            x = layers.Conv2D(min(width * 2**i, 8 * width), 3, padding="same", activation=activation)(x)
        x = getattr(layers, f"{pooling}Pooling2D")(2, strides=2)(x)
    if classes is not None:
        x = layers.Dense(units, activation=activation)(layers.Flatten()(x))
        x = layers.Dense(classes, activation="softmax")(x)
    return keras.Model(inputs, x)


def inception_block(keras, x, one, three_in, three, five_in, five, pool, activation="relu", pooling="Max"):
    """Four branches beside each other (Szegedy et al. 2014, arXiv 1409.4842, figure 2b)."""

    def conv(x, filters, size):
        return keras.layers.Conv2D(filters, size, padding="same", activation=activation)(x)

    return keras.layers.concatenate([
        conv(x, one, 1), conv(conv(x, three_in, 1), three, 3), conv(conv(x, five_in, 1), five, 5),
        conv(getattr(keras.layers, f"{pooling}Pooling2D")(3, strides=1, padding="same")(x), pool, 1),
    ])  # fmt: skip


def inception(keras, shape=(32, 32, 3), classes=10, part=1, activation="relu", pooling="Max"):
    """A stem, the blocks 3a and 3b of GoogLeNet with filters divided by `part`, and a head."""
    layers, inputs = keras.layers, keras.Input(shape)
    x = layers.Conv2D(192 // part, 3, padding="same", activation=activation)(inputs)
    x = getattr(layers, f"{pooling}Pooling2D")(3, strides=2, padding="same")(x)
    for filters in ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)):
        x = inception_block(keras, x, *(count // part for count in filters), activation, pooling)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # of MobileNet's 13 blocks; filters double with them


def mobilenet(keras, shape=(32, 32, 3), classes=None, alpha=1.0, strides=STRIDES, activation=None):
    """Depthwise separable convolutions (Howard et al. 2017, arXiv 1704.04861) as `keras.applications.MobileNet` has
    them; without `classes` the convolutions only. `activation` None is ReLU up to 6."""
    layers, inputs = keras.layers, keras.Input(shape)

    def normal(x):
        x = layers.BatchNormalization()(x)
        return layers.ReLU(6.0)(x) if activation is None else layers.Activation(activation)(x)

    def down(x, stride):  # the border that a stride of 2 wants
        return x if stride == 1 else layers.ZeroPadding2D(((0, 1), (0, 1)))(x)

    filters = 32
    x = layers.Conv2D(int(filters * alpha), 3, strides=2, padding="same", use_bias=False)(inputs)
    x = normal(x)
    for i, stride in enumerate(strides):
        filters *= 2 if i == 0 or stride == 2 else 1
        padding = "same" if stride == 1 else "valid"
        x = normal(layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False)(down(x, stride)))
        x = normal(layers.Conv2D(int(filters * alpha), 1, padding="same", use_bias=False)(x))
    if classes is not None:
        x = layers.Dense(classes, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x)


def resnet20(keras, shape=(32, 32, 3), classes=10, width=16, blocks=3, shortcut="zeros", bias=False, activation="relu"):
    """He et al. 2015 (arXiv 1512.03385), section 4.2: 6 * blocks + 2 layers.

    `shortcut`, where the width doubles: "zeros" are every second pixel and channels of zeros, the paper's option A;
    "projection" is a 1x1 convolution, as in Keras' example for CIFAR-10, which has `bias` too.
    """
    layers, inputs = keras.layers, keras.Input(shape)

    def conv(x, filters, size=3, stride=1):
        return layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=bias)(x)

    def skip(x, filters):
        if shortcut == "projection":
            return conv(x, filters, 1, 2)
        x = layers.Permute((1, 3, 2))(layers.MaxPooling2D(1, strides=2)(x))  # channels where padding reaches them
        return layers.Permute((1, 3, 2))(layers.ZeroPadding2D(((0, 0), (filters // 4, filters // 4)))(x))

    x = layers.Activation(activation)(layers.BatchNormalization()(conv(inputs, width)))
    for stage in range(3):
        for block in range(blocks):
            filters, stride = width * 2**stage, 2 if stage and not block else 1
            y = layers.Activation(activation)(layers.BatchNormalization()(conv(x, filters, 3, stride)))
            y = layers.BatchNormalization()(conv(y, filters))
            x = layers.Activation(activation)(layers.Add()([y, x if stride == 1 else skip(x, filters)]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def text_cnn(keras, length=400, words=5000, dim=50, filters=250, units=250, classes=1, *, activation="relu",
             pooling="Max"):  # fmt: skip
    """Words in a row: Keras' example for IMDB, without its dropout."""
    layers = keras.layers
    inputs = keras.Input((length,), dtype="int32")
    x = layers.Embedding(words, dim)(inputs)
    x = layers.Conv1D(filters, 3, activation=activation)(x)
    x = getattr(layers, f"Global{pooling}Pooling1D")()(x)
    x = layers.Dense(units, activation=activation)(x)
    return keras.Model(inputs, layers.Dense(classes, activation="sigmoid" if classes == 1 else "softmax")(x))


def siamese(keras, shape=(12, 12, 1), dim=8, activation="relu"):
    """One encoder for two images, and how likely they show the same."""
    layers, image = keras.layers, keras.Input(shape)
    x = layers.MaxPooling2D()(layers.Conv2D(4, 3, activation=activation)(image))
    encoder = keras.Model(image, layers.Dense(dim)(layers.Flatten()(x)), name="encoder")
    a, b = keras.Input(shape, name="a"), keras.Input(shape, name="b")
    difference = layers.Subtract()([encoder(a), encoder(b)])
    distance = layers.Multiply()([difference, difference])
    return keras.Model([a, b], layers.Dense(1, activation="sigmoid")(distance))


def two_by_two(keras, activation="relu"):
    """An image and a row of numbers in, a class and a number out."""
    layers = keras.layers
    image, row = keras.Input((10, 9, 2), name="image"), keras.Input((5,), name="row")
    x = layers.Flatten()(layers.Conv2D(4, 3, strides=2, activation=activation)(image))
    x = layers.concatenate([x, layers.Dense(6, activation=activation)(row)])
    kind = layers.Dense(3, activation="softmax", name="kind")(x)
    return keras.Model([image, row], [kind, layers.Dense(1, name="size")(x)])


SMALL = {  # function: arguments that keep a test short; 4 classes
    "mlp": dict(shape=(20,), classes=4, units=(16, 12)),
    "lenet5": dict(shape=(16, 16, 1), classes=4),
    "vgg16": dict(shape=(16, 14, 3), classes=4, width=4, blocks=(2, 2, 1), units=12),
    "inception": dict(shape=(10, 9, 3), classes=4, part=16),
    "mobilenet": dict(shape=(20, 18, 3), classes=4, alpha=0.25, strides=(1, 2, 1)),
    "resnet20": dict(shape=(12, 12, 3), classes=4, width=4),
    "text_cnn": dict(length=17, words=40, dim=8, filters=12, units=10, classes=4),
}
