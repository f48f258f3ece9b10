"""Networks as scikit-learn's estimators: they go into pipelines, cross-validation and grid searches.

Needs scikit-learn, which the extra `sklearn` brings; nothing else in dlcore does.

https://scikit-learn.org/stable/developers/develop.html
"""

from dlcore import _extras

_extras.require("sklearn", "sklearn")  # one clear error before all others

from dlcore.sklearn.classifier import DLClassifier  # noqa: E402
from dlcore.sklearn.regressor import DLRegressor  # noqa: E402

__all__ = ["DLClassifier", "DLRegressor"]
