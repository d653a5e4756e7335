"""Cut a network in two at a layer, and digest it."""

import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from gender_pipeline.errors import ZooError

if TYPE_CHECKING:
    import keras

# What differs between equal networks: names Keras numbers by a counter of the process, and what only training reads.
_VOLATILE: Final = frozenset({"name", "trainable", "registered_name", "build_config", "compile_config"})
_LINKS: Final = frozenset({"keras_history", "input_layers", "output_layers"})


def cut(network: "keras.Model", layer_name: str) -> tuple["keras.Model", "keras.Model"]:
    """Cut a network at the output of a layer; suffix(prefix(x)) is network(x).

    The parts share their layers with the network: who trains the suffix trains the network.

    Args:
        network: A functional model with one input.
        layer_name: A layer through whose output everything flows, the input layer and the last one included; of a
            layer used several times the last use counts.

    Returns:
        The prefix (input -> output of the layer) and the suffix (output of the layer -> output of the network).

    Raises:
        ZooError: There is no such layer, or part of the flow goes past it; the message names others where one can cut.
    """
    import keras

    points = _cut_points(network)
    if layer_name not in points:
        near = difflib.get_close_matches(layer_name, points, n=5, cutoff=0)
        raise ZooError(
            f"cannot cut {network.name} at {layer_name!r}",
            expected=f"one of the {len(points)} layers that everything flows through, such as {', '.join(near)}",
        )
    tensor = points[layer_name]
    prefix = keras.Model(network.input, tensor, name=f"{network.name}_to_{layer_name}")
    name = f"{network.name}_from_{layer_name}"
    if tensor is network.output:  # Keras cannot make a model of no layer
        entry = keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)
        return prefix, keras.Model(entry, keras.layers.Identity()(entry), name=name)
    return prefix, keras.Model(tensor, network.output, name=name)


def _cut_points(network: "keras.Model") -> dict[str, Any]:
    """Give, shallow to deep, the layers with one output tensor through which every path of the network leads."""
    order = _flow(network)
    points: dict[str, Any] = {}
    open_tensors: set[int] = set()  # computed, and still to be read by a later operation
    last_reader = {id(parent): position for position, tensor in enumerate(order) for parent in _parents(tensor)}
    last_reader |= {id(tensor): len(order) for tensor in network.outputs}
    for position, tensor in enumerate(order):
        open_tensors.add(id(tensor))
        open_tensors = {key for key in open_tensors if last_reader[key] > position}
        if open_tensors == {id(tensor)}:
            points[tensor._keras_history.operation.name] = tensor
    return points


def _flow(network: "keras.Model") -> list[Any]:
    """Give the symbolic tensors from which the outputs are computed, each after those it is computed from."""
    order: list[Any] = []
    seen: set[int] = set()
    stack = [(tensor, False) for tensor in network.outputs]
    while stack:
        tensor, parents_done = stack.pop()
        if parents_done:
            order.append(tensor)
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack.append((tensor, True))
            stack.extend((parent, False) for parent in _parents(tensor))
    return order


def _parents(tensor: Any) -> list[Any]:
    # `layer.input` would be wrong here: it is that of the layer's first network, and parts share their layers.
    history = tensor._keras_history
    parents: list[Any] = history.operation._inbound_nodes[history.node_index].input_tensors
    return parents


def weights_digest(network: "keras.Model") -> str:
    """Return the sha256 of what a network computes, as 64 hex digits.

    It covers layers, their settings and links, and the name, shape, dtype and bytes of every weight. It does not cover
    names of layers or what is trainable, so that it is the same in every process and after saving and loading; the
    hash of a `.keras` file is another at every save.
    """
    import keras

    digest = hashlib.sha256(json.dumps(_canonical(network.get_config(), {}), sort_keys=True).encode())
    for weight in network.weights:
        value = keras.ops.convert_to_numpy(weight)
        digest.update(f"{weight.name} {value.shape} {value.dtype}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _canonical(config: Any, positions: Mapping[str, int]) -> Any:
    """Replace layer names in a Keras configuration by positions, and leave out what is volatile."""
    if isinstance(config, list | tuple):
        return [_canonical(item, positions) for item in config]
    if not isinstance(config, dict):
        return config
    if "layers" in config:  # a model, perhaps inside another: its names count anew
        positions = {layer["config"]["name"]: position for position, layer in enumerate(config["layers"])}
    return {
        key: _numbered(value, positions) if key in _LINKS else _canonical(value, positions)
        for key, value in config.items()
        if key not in _VOLATILE
    }


def _numbered(links: Any, positions: Mapping[str, int]) -> Any:
    if isinstance(links, list | tuple):
        return [_numbered(link, positions) for link in links]
    return positions.get(links, links)
