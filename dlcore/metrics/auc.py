"""The area under a curve of decisions."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore.metrics.base import ratio
from dlcore.metrics.thresholds import EPSILON, Thresholds, even


class AUC(Thresholds):
    """The area under the curve that a threshold moves along, by Riemann's sum.

    https://keras.io/api/metrics/classification_metrics/#auc-class

    Args:
        num_thresholds: points of the curve.
        curve: "ROC" (recall against false positive rate), "PR" (precision against recall), "PRGAIN".
        summation_method: "interpolation" between points, "minoring" or "majoring".
        thresholds: in [0, 1], instead of evenly spaced ones.
        multi_label: a curve for each column of (batch, labels), and the mean of their areas.
        num_labels: how many; known from the predictions.
        label_weights: weights of the columns in the mean, or in the counts without `multi_label`.
        from_logits: True when predictions are logits.

    Raises:
        ValueError: an unknown curve or method, or too few thresholds.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ):
        owner = name or "auc"
        if str(curve).upper() not in ("ROC", "PR", "PRGAIN"):
            raise ValueError(f"{owner}: curve must be 'ROC', 'PR' or 'PRGAIN'. Received: curve={curve!r}")
        if str(summation_method).lower() not in ("interpolation", "minoring", "majoring"):
            raise ValueError(
                f"{owner}: summation_method must be 'interpolation', 'minoring' or 'majoring'. "
                f"Received: summation_method={summation_method!r}"
            )
        if num_labels and not multi_label:
            raise ValueError(f"{owner}: num_labels needs multi_label=True. Received: num_labels={num_labels}")
        given = None if thresholds is None else sorted(thresholds)
        if given and not 0 <= given[0] <= given[-1] <= 1:
            raise ValueError(f"{owner}: thresholds must be in [0, 1]. Received: {given}")
        points = even(owner, num_thresholds, 2) if given is None else [0.0, *given, 1.0]
        points[0], points[-1] = points[0] - EPSILON, points[-1] + EPSILON
        super().__init__(points, name or "auc", dtype)
        self.num_thresholds, self.given = len(points), given
        self.curve, self.summation_method = str(curve).upper(), str(summation_method).lower()
        self.multi_label, self.num_labels, self.from_logits = bool(multi_label), num_labels, bool(from_logits)
        self.label_weights = None if label_weights is None else np.asarray(label_weights, np.float32)

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        tp, fp, tn, fn = self.decisions(totals)
        if self.curve == "PR" and self.summation_method == "interpolation":
            parts = self._interpolated(tp, fp, fn)
        else:
            parts = self._riemann(tp, fp, tn, fn)
        areas = np.sum(parts, axis=0)
        if not self.multi_label:
            return float(areas)
        return float(np.mean(areas) if self.label_weights is None else np.average(areas, weights=self.label_weights))

    def _riemann(self, tp: Any, fp: Any, tn: Any, fn: Any) -> Any:
        recall = ratio(tp, tp + fn)
        if self.curve == "ROC":
            x, y = ratio(fp, fp + tn), recall
        elif self.curve == "PR":
            x, y = recall, ratio(tp, tp + fp)
        else:  # Flach and Kull, Precision-Recall-Gain Curves
            share = ratio(tp + fn, tn + fp)
            x = np.maximum(np.where(tp == 0, 0.0, 1 - share * ratio(fn, tp)), 0.0)
            y = np.where(tp == 0, 1.0, 1 - share * ratio(fp, tp))
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }
        return (x[:-1] - x[1:]) * heights[self.summation_method]

    def _interpolated(self, tp: Any, fp: Any, fn: Any) -> Any:
        """Between two points the number of true positives, not precision, is linear in that of all positives. Davis and
        Goadrich, The Relationship Between Precision-Recall and ROC Curves."""
        positives = tp + fp
        gained, all_gained = tp[:-1] - tp[1:], positives[:-1] - positives[1:]
        slope = ratio(gained, np.maximum(all_gained, 0))
        intercept = tp[1:] - slope * positives[1:]
        both = (positives[:-1] > 0) & (positives[1:] > 0)
        growth = np.where(both, positives[:-1] / np.where(both, positives[1:], 1), 1.0)
        return ratio(slope * (gained + intercept * np.log(growth)), np.maximum(tp[1:] + fn[1:], 0))

    def get_config(self) -> dict[str, Any]:
        own = {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if self.label_weights is None else self.label_weights.tolist(),
            "from_logits": self.from_logits,
        }
        if self.given is not None:
            own["thresholds"] = self.given
        return {**super().get_config(), **own}
