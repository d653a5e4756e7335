"""The losses, against Keras' own."""

import numpy as np
import pytest

from gender_pipeline.recipes import Loss
from gender_pipeline.training.losses import make_loss, photo_weights

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 3, (16, 3)).astype(np.float32)
TARGETS = np.eye(3, dtype=np.float32)[RANDOM.integers(0, 3, 16)]


def losses(settings: Loss, output: str, logits: np.ndarray = LOGITS) -> np.ndarray:
    return np.asarray(make_loss(settings, output)(TARGETS[: len(logits)], logits))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_is_trained_with_categorical_cross_entropy(smoothing: float) -> None:
    import keras

    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)
    found = losses(Loss(label_smoothing=smoothing), "softmax")
    np.testing.assert_allclose(found, np.asarray(theirs(TARGETS, LOGITS)), rtol=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_sigmoids_are_trained_with_binary_cross_entropy_of_each_class(smoothing: float) -> None:
    import keras

    theirs = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)
    found = losses(Loss(label_smoothing=smoothing), "sigmoids")
    np.testing.assert_allclose(found, np.asarray(theirs(TARGETS, LOGITS)), rtol=1e-4)


def test_one_sigmoid_is_trained_with_the_binary_cross_entropy_of_its_logit() -> None:
    import keras

    logit = LOGITS[:, :1]
    targets = np.eye(2, dtype=np.float32)[np.arange(16) % 2]
    found = make_loss(Loss(), "sigmoid")(targets, np.concatenate([np.zeros_like(logit), logit], axis=1))
    theirs = keras.losses.BinaryCrossentropy(from_logits=True, reduction=None)(targets[:, 1:], logit)
    np.testing.assert_allclose(np.asarray(found), np.asarray(theirs), rtol=1e-4)


@pytest.mark.parametrize("output", ["softmax", "sigmoids"])
def test_the_focal_loss_counts_sure_answers_less_and_unsure_ones_almost_fully(output: str) -> None:
    sure = 12 * TARGETS[:4] - 6
    plain, focal = (losses(Loss(focal_gamma=gamma), output, sure.astype(np.float32)) for gamma in (0.0, 2.0))
    assert (focal < 1e-3 * plain).all()
    wrong = -sure.astype(np.float32)
    plain, focal = (losses(Loss(focal_gamma=gamma), output, wrong) for gamma in (0.0, 2.0))
    np.testing.assert_allclose(focal, plain, rtol=0.02)


def test_the_categorical_focal_loss_is_that_of_keras() -> None:
    import keras

    theirs = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True, reduction=None)
    found = losses(Loss(focal_gamma=2.0), "softmax")
    np.testing.assert_allclose(found, np.asarray(theirs(TARGETS, LOGITS)), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("output", ["softmax", "sigmoids"])
def test_sure_answers_right_or_wrong_have_a_finite_loss_and_slope(gamma: float, output: str) -> None:
    import tensorflow as tf

    logits = tf.constant(200 * TARGETS[:4] - 100) * tf.constant([[1.0], [-1.0], [1.0], [-1.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = make_loss(Loss(focal_gamma=gamma), output)(TARGETS[:4], logits)
    assert np.isfinite(loss.numpy()).all()
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_balanced_weights_make_every_class_count_the_same_and_all_photos_one_on_average() -> None:
    targets = np.eye(2, dtype=np.float32)[[0] * 9 + [1]]
    weights = photo_weights(Loss(class_weights="balanced"), targets)
    assert weights.mean() == pytest.approx(1.0)
    assert weights[:9].sum() == pytest.approx(weights[9:].sum())
    assert (photo_weights(Loss(), targets) == 1.0).all()
