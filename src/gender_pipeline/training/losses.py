"""What a training minimises, computed from logits, so that a sure but wrong answer still has a gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.recipes import Loss


def make_loss(settings: Loss, output: str) -> Callable[[Any, Any], Any]:
    """Make the loss of a head.

    Args:
        settings: Label smoothing and focal exponent.
        output: The head's output: the classes of `sigmoids` are separate yes-or-no questions, those of `softmax` and
            `sigmoid` exclude each other.

    Returns:
        From one-hot targets (N, k) and logits (N, k) to losses (N,), the mean over the questions for `sigmoids`. With
        focal_gamma 0 they are those of `keras.losses.CategoricalCrossentropy` and `BinaryCrossentropy`, from logits.
    """
    from keras import ops

    smoothing, gamma = settings.label_smoothing, settings.focal_gamma

    def categorical(targets: Any, logits: Any) -> Any:
        smooth = targets * (1 - smoothing) + smoothing / targets.shape[-1]
        log_p = ops.log_softmax(logits)
        return -ops.sum(smooth * _unsure(log_p, gamma) * log_p, axis=-1)

    def binary(targets: Any, logits: Any) -> Any:
        smooth = targets * (1 - smoothing) + smoothing / 2
        log_yes, log_no = ops.log_sigmoid(logits), ops.log_sigmoid(-logits)
        yes = smooth * _unsure(log_yes, gamma) * log_yes
        return -ops.mean(yes + (1 - smooth) * _unsure(log_no, gamma) * log_no, axis=-1)

    return binary if output == "sigmoids" else categorical


def _unsure(log_p: Any, gamma: float) -> Any:
    """Return (1 - p) ** gamma, the focal loss' weight of an answer."""
    from keras import ops

    # 1 - p is exactly 0 for a sure answer, where a fractional power has no finite slope.
    return ops.power(ops.maximum(1 - ops.exp(log_p), 1e-6), gamma) if gamma else 1.0


def photo_weights(settings: Loss, targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what each photo counts, (N,) float32 of mean 1, from the one-hot targets (N, k) of the train photos."""
    n_photos, n_classes = targets.shape
    if settings.class_weights == "none":
        return np.ones(n_photos, np.float32)
    of_class = n_photos / (n_classes * targets.sum(axis=0))
    weights: NDArray[np.float32] = (targets @ of_class).astype(np.float32)
    return weights
