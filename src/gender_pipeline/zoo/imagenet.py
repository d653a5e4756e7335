"""What a backbone saw in ImageNet: the most probable of its 1,000 classes for a photo, a check that weights work."""

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import ZooError
from gender_pipeline.images.decode import decode_rgb
from gender_pipeline.zoo.build import IMAGENET, build_backbone, read_weights, reverse_colors, scaled_pixels
from gender_pipeline.zoo.keras_applications import load_application
from gender_pipeline.zoo.specs import BackboneSpec, get_spec
from gender_pipeline.zoo.weights_files import KerasWeights, WheelWeights, keras_file

if TYPE_CHECKING:
    import keras


def classify_imagenet(name: str, photos: Sequence[bytes], top: int = 5) -> list[list[tuple[str, float]]]:
    """Name the most probable ImageNet classes of photos, by a backbone with the classifier it was trained with.

    Args:
        name: A key of `SPECS`.
        photos: Encoded images; of each the centre square is seen.
        top: How many classes to name, in [1, 1000].

    Returns:
        For each photo `top` pairs of class and probability, in [0, 1], the most probable first.

    Raises:
        ZooError: There is no such backbone, it has no ImageNet weights, or they cannot be had.
        ImageError: A photo cannot be decoded.
    """
    spec = get_spec(name)
    pixels = np.stack([decode_rgb(photo, spec.image_size_px) for photo in photos]).astype(np.float32)
    probabilities = _probabilities(spec, pixels)
    classes = imagenet_classes()
    best = np.argsort(-probabilities, axis=1)[:, :top]
    return [
        [(classes[index], float(row[index])) for index in indices]
        for row, indices in zip(probabilities, best, strict=True)
    ]


def imagenet_classes() -> tuple[str, ...]:
    """Return the names of the 1,000 classes in the order of their index; the file says where they are from."""
    text = (files("gender_pipeline.zoo") / "imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if not line.startswith("#"))


def _probabilities(spec: BackboneSpec, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give (N, 1000) probabilities for raw pixels (N, S, S, 3) in [0, 255], S the size the weights were trained on."""
    match spec.weights:
        case WheelWeights():
            tensors = read_weights(spec)
            features = build_backbone(spec, spec.image_size_px, IMAGENET).predict(pixels, verbose=0)
            logits: NDArray[np.float32] = features @ tensors["_fc.weight"].T + tensors["_fc.bias"]
            return _softmax(logits)
        case KerasWeights():
            probabilities: NDArray[np.float32] = _classifier(spec, spec.weights).predict(pixels, verbose=0)
            return probabilities
        case None:
            raise ZooError(f"{spec.name} was not trained on ImageNet", remedy="choose another backbone")


def _classifier(spec: BackboneSpec, weights: KerasWeights) -> "keras.Model":
    file = keras_file(weights.top_url, weights.top_digest)
    network = load_application(weights.application, scaled_pixels(spec, spec.image_size_px), file, top=True)
    if spec.color_order == "BGR":
        reverse_colors(network)
    return network


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares
