"""Which of Keras' own test modules are run against dlcore: below keras.src, without `_test`."""

STEMS = {
    "optimizers.": "sgd adam adamw adagrad adadelta adamax nadam rmsprop lion optimizer",
    "optimizers.schedules.": "learning_rate_schedule",
    "losses.": "losses",
    "activations.": "activations",
    "layers.convolutional.": "conv conv_transpose depthwise_conv separable_conv",
    "layers.pooling.": "average_pooling max_pooling global_average_pooling global_max_pooling",
    "layers.core.": "dense embedding",
    "layers.reshaping.": "flatten reshape permute repeat_vector cropping1d cropping2d up_sampling1d up_sampling2d "
    "zero_padding1d zero_padding2d",
    "layers.regularization.": "dropout alpha_dropout gaussian_dropout gaussian_noise spatial_dropout",
    "layers.activations.": "activation elu leaky_relu prelu relu softmax",
    "layers.merging.": "merging",
    "layers.normalization.": "batch_normalization group_normalization layer_normalization rms_normalization "
    "unit_normalization",
    "initializers.": "random_initializers constant_initializers",
    "regularizers.": "regularizers",
    "constraints.": "constraints",
    "metrics.": "accuracy_metrics confusion_metrics iou_metrics regression_metrics probabilistic_metrics "
    "hinge_metrics f_score_metrics reduction_metrics",
    "models.": "sequential",
}
MODULES = [f"keras.src.{room}{stem}_test" for room, stems in STEMS.items() for stem in stems.split()]
