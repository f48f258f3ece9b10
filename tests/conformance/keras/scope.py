"""Which of Keras' own test modules are run against dlcore."""

MODULES = [
    *(f"optimizers.{stem}_test" for stem in ("sgd", "adam", "adamw", "adagrad", "adadelta", "adamax", "nadam", "rmsprop", "lion", "optimizer")),
    "optimizers.schedules.learning_rate_schedule_test",
    "losses.losses_test",
    "losses.loss_test",
    "activations.activations_test",
    *(f"layers.convolutional.{stem}_test" for stem in ("conv", "conv_transpose", "depthwise_conv", "separable_conv")),
    *(f"layers.pooling.{stem}_test" for stem in ("average_pooling", "max_pooling", "global_average_pooling", "global_max_pooling")),
    *(f"layers.core.{stem}_test" for stem in ("dense", "embedding")),
    *(f"layers.reshaping.{stem}_test" for stem in ("flatten", "reshape", "permute", "repeat_vector", "cropping1d", "cropping2d", "up_sampling1d", "up_sampling2d", "zero_padding1d", "zero_padding2d")),
    *(f"layers.regularization.{stem}_test" for stem in ("dropout", "alpha_dropout", "gaussian_dropout", "gaussian_noise", "spatial_dropout")),
    *(f"layers.activations.{stem}_test" for stem in ("activation", "elu", "leaky_relu", "prelu", "relu", "softmax")),
    "layers.merging.merging_test",
    *(f"layers.normalization.{stem}_test" for stem in ("batch_normalization", "group_normalization", "layer_normalization", "rms_normalization", "unit_normalization")),
    *(f"initializers.{stem}_test" for stem in ("initializer", "random_initializers", "constant_initializers")),
    "regularizers.regularizers_test",
    "constraints.constraints_test",
    *(f"metrics.{stem}_metrics_test" for stem in ("accuracy", "confusion", "iou", "regression", "probabilistic", "hinge", "f_score", "reduction")),
    "models.sequential_test",
]
