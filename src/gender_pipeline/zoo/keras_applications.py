"""Backbones of `keras.applications` as one flat graph of Keras' own layers, with the same names in every process."""

import functools
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import ZooError

if TYPE_CHECKING:
    import keras

_SCALED_OUTSIDE: Final = frozenset(
    {"InceptionV3", "MobileNetV2", "ResNet50", "VGG16"}
)  # the others scale the pixels inside


def connector(application: str) -> Callable[[Any, str], "keras.Model"]:
    """Give the function that connects a network of `keras.applications` to a tensor.

    Args:
        application: Name of its function there, such as `VGG16`.

    Returns:
        A function of a tensor (N, H, W, 3) of scaled pixels and of the pooling, `average` or `flatten`. It returns a
        model from the input of that tensor to the features (N, F).
    """

    def connect(pixels: Any, pooling: str) -> "keras.Model":
        return flatten(build_application(application, pixels, pooling=pooling))

    return connect


def build_application(
    application: str, pixels: Any, *, pooling: str = "average", weights: Path | None = None, top: bool = False
) -> "keras.Model":
    """Build a network as Keras does.

    Args:
        application: Name of its function in `keras.applications`.
        pixels: A tensor (N, H, W, 3) of scaled pixels.
        pooling: `average` or `flatten`; without a meaning if `top`.
        weights: One of the files Keras publishes for it, or None for random weights.
        top: Whether the classifier of 1,000 classes comes with it; H and W are then those it was trained on.

    Returns:
        A model from the input of `pixels` to the features (N, F), or to the probabilities (N, 1000).
    """
    import keras

    settings: dict[str, Any] = {} if application in _SCALED_OUTSIDE else {"include_preprocessing": False}
    if not top and pooling == "average":
        settings["pooling"] = "avg"
    build = getattr(keras.applications, application)
    network = build(include_top=top, weights=weights, input_tensor=pixels, **settings)
    if top or pooling == "average":
        return network
    return keras.Model(network.inputs[0], keras.layers.Flatten()(network.output))


def read_weights(application: str, image_size_px: int, file: Path) -> dict[str, NDArray[Any]]:
    """Read a weights file without the classifier by way of the network Keras wrote it from.

    Such a file knows the weights by their order in that network, not by name.

    Returns:
        Arrays by the paths that the weights have in the flat network.

    Raises:
        ZooError: The file is no HDF5, or holds other weights than those of the network.
    """
    import keras

    pixels = keras.Input((image_size_px, image_size_px, 3))
    flat = flatten(load_application(application, pixels, file))
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in flat.weights}


def load_application(application: str, pixels: Any, file: Path, *, top: bool = False) -> "keras.Model":
    """Build a network as `build_application` does, with the weights of a file Keras published for it.

    Raises:
        ZooError: The file is no HDF5, or holds other weights than those of the network.
    """
    try:
        return build_application(application, pixels, weights=file, top=top)
    except (OSError, ValueError, KeyError) as error:  # of h5py and of Keras
        raise ZooError(
            f"{file} does not hold the weights of {application}", received=str(error)[:200], remedy="remove it"
        ) from error


def flatten(network: "keras.Model") -> "keras.Model":
    """Copy a functional network, with its weights, into one that can be cut, saved and found again.

    There are no models inside, only layers that Keras loads in its safe mode, and the last one is `pooled`. Keras
    numbers layers without a name by a counter of the process; here each kind is counted from 1 in the order of the
    graph, so that two networks have the same names.
    """
    import keras

    counts: Counter[str] = Counter()
    pairs: list[tuple[Any, Any]] = []

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.Sequential):
            return [copy(inner) for inner in layer.layers]
        pairs.append((layer, _copy_of(layer, _stable_name(layer, counts))))
        return pairs[-1][1]

    def call(layers: Any, *tensors: Any, **settings: Any) -> Any:
        if not isinstance(layers, list):
            return layers(*tensors, **settings)
        return functools.reduce(lambda tensor, layer: layer(tensor), layers, *tensors)

    flat = keras.models.clone_model(network, clone_function=copy, call_function=call)
    for old, new in pairs:
        if isinstance(old, keras.Layer):  # the others are operations such as +
            for source, target in zip(old.weights, new.weights, strict=True):
                target.assign(np.reshape(source, target.shape))
    return keras.Model(flat.inputs[0], keras.layers.Identity(name="pooled")(flat.output))


def _stable_name(layer: Any, counts: Counter[str]) -> str:
    kind = re.sub(r"_\d+$", "", layer.name)
    if kind.replace("_", "") != type(layer).__name__.lower():
        return str(layer.name)
    counts[kind] += 1
    return f"{kind}_{counts[kind]}"


def _copy_of(layer: Any, name: str) -> Any:
    from keras import initializers, layers

    settings = layer.get_config() | {"name": name}
    dtype = settings.get("dtype")
    if type(layer).__name__ == "LayerScale":  # of ConvNeXt; its weight has a name with a counter, too
        start = initializers.Constant(layer.init_values)
        return layers.EinsumDense(
            "...c,c->...c", layer.projection_dim, kernel_initializer=start, dtype=dtype, name=name
        )
    # One filter a channel, in ConvNeXt: as a grouped convolution it takes 40 times as long on two cores.
    if settings.get("groups", 1) > 1:
        return layers.DepthwiseConv2D(layer.kernel_size, padding=layer.padding, dtype=dtype, name=name)
    return type(layer).from_config(settings)
