"""Metrics of weighted photos, for many weightings at once; one that is undefined is NaN, never an error."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]

METRICS: Final = ("loss", "accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc", "ece")
CALIBRATION_BINS: Final = 20
# Probabilities are stored as float32, where 1 - 1.2e-7 is the last number below 1.
SMALLEST_PROBABILITY: Final = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model said of N photos, and what was right; for two classes class 1 is the positive one.

    Attributes:
        truth: (N,) int64 class codes in [0, k).
        predicted: (N,) int64 class codes in [0, k).
        probabilities: (N, k) float64 in [0, 1], rows sum to 1.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: FloatArray

    @property
    def confidence(self) -> FloatArray:
        """Probability of the predicted class, (N,) float64 in [0, 1]."""
        return np.take_along_axis(self.probabilities, self.predicted[:, None], axis=1)[:, 0]


def weighted_metrics(answers: Answers, weights: FloatArray) -> dict[str, FloatArray]:
    """Measure N photos under R weightings at once.

    Equal to scikit-learn's metrics with `sample_weight=weights[r]`. With two classes precision, recall and F1 are
    those of class 1 and the ROC AUC that of its probability; with more they are means over the classes for which they
    are defined, the ROC AUC one class against the rest.

    Args:
        answers: N photos, k classes.
        weights: (R, N) float64 >= 0; how often each photo counts.

    Returns:
        For each of `METRICS` an array (R,): `loss` the cross-entropy in nats, >= 0, best 0; `ece` the expected
        calibration error over 20 equally wide bins of the predicted class' probability, in [0, 1], best 0; the
        others in [0, 1], best 1. NaN where undefined: precision without a predicted positive, recall without a
        positive, F1 without either, ROC AUC with one class only, everything where all weights are 0.
    """
    n_classes = answers.probabilities.shape[1]
    truth, predicted = _one_hot(answers.truth, n_classes), _one_hot(answers.predicted, n_classes)
    actual, claimed, hit = weights @ truth, weights @ predicted, weights @ (truth * predicted)
    total = weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = hit / actual
        return {
            "loss": weights @ photo_losses(answers) / total,
            "accuracy": hit.sum(axis=1) / total,
            "balanced_accuracy": _mean_of_defined(recall),
            "precision": _positive_or_mean(hit / claimed),
            "recall": _positive_or_mean(recall),
            "f1": _positive_or_mean(2 * hit / (actual + claimed)),
            "roc_auc": _roc_auc(answers, weights),
            "ece": _calibration_error(answers, weights) / total,
        }


def photo_losses(answers: Answers) -> FloatArray:
    """Return each photo's cross-entropy, -ln of the true class' probability, (N,) float64 in [0, 16] nats."""
    p_truth = np.take_along_axis(answers.probabilities, answers.truth[:, None], axis=1)[:, 0]
    return -np.log(np.clip(p_truth, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))


def calibration_bins(confidence: FloatArray) -> NDArray[np.int64]:
    """Return the bin (N,), 0 to 19, of each probability (N,) in [0, 1]; a bin holds its lower edge."""
    return np.minimum(confidence * CALIBRATION_BINS, CALIBRATION_BINS - 1).astype(np.int64)


def _one_hot(codes: NDArray[np.int64], n_codes: int) -> FloatArray:
    return np.asarray(codes[:, None] == np.arange(n_codes), dtype=np.float64)


def _positive_or_mean(by_class: FloatArray) -> FloatArray:
    return by_class[:, 1] if by_class.shape[1] == 2 else _mean_of_defined(by_class)


def _mean_of_defined(by_class: FloatArray) -> FloatArray:
    defined = ~np.isnan(by_class)
    # Not np.nanmean: it warns of rows in which nothing is defined.
    return np.asarray(np.where(defined, by_class, 0).sum(axis=1) / defined.sum(axis=1))


def _calibration_error(answers: Answers, weights: FloatArray) -> FloatArray:
    gap = (answers.truth == answers.predicted) - answers.confidence
    in_bin = _one_hot(calibration_bins(answers.confidence), CALIBRATION_BINS)
    return np.asarray(np.abs(weights @ (in_bin * gap[:, None])).sum(axis=1))


def _roc_auc(answers: Answers, weights: FloatArray) -> FloatArray:
    classes = range(answers.probabilities.shape[1])
    by_class = [
        _one_class_auc(answers.truth == code, answers.probabilities[:, code], weights)
        for code in (classes if len(classes) > 2 else classes[1:])
    ]
    return _mean_of_defined(np.stack(by_class, axis=1))


def _one_class_auc(positive: NDArray[np.bool_], scores: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the chance (R,) that a positive of N photos scores higher than a negative, a tie counting one half."""
    order = np.argsort(scores)
    scores, positive, weights = scores[order], positive[order], weights[:, order]
    negatives = np.zeros((len(weights), len(scores) + 1))  # weight of the negatives before each rank
    np.cumsum(weights * ~positive, axis=1, out=negatives[:, 1:])
    below = negatives[:, np.searchsorted(scores, scores[positive], side="left")]
    not_above = negatives[:, np.searchsorted(scores, scores[positive], side="right")]
    positives = weights[:, positive]
    won = np.einsum("rp,rp->r", positives, below + not_above) / 2
    return np.asarray(won / (positives.sum(axis=1) * negatives[:, -1]))
