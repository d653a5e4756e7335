"""Read tensors from the files `torch.save` writes, without torch and without running what they say.

Before version 1.6 such a file is five pickles in a row (magic number, protocol version, facts about the system, the
object, the list of storage keys), then every storage as an 8-byte element count and its raw values, all little-endian
(`torch.serialization._legacy_load`). Since then it is a zip archive of one pickle and a member per storage, see
`torch_zip`. Either way the storages are used where they lie in the file.
"""

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import ZooError, examples
from gender_pipeline.zoo.mapped import MAX_FILE_BYTES, map_file, mapped_values, strided_view
from gender_pipeline.zoo.torch_pickle import MAX_PICKLE_BYTES, Storage, Tensor, Unpickled, read_pickle
from gender_pipeline.zoo.torch_zip import ZIP_MAGIC, read_members

__all__ = ["MAX_FILE_BYTES", "read_torch_file"]

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_CHECKPOINT: Final = "state_dict"  # the key many training scripts store the weights under, beside epoch and optimiser


def read_torch_file(path: Path) -> dict[str, NDArray[Any]]:
    """Read the state dictionary of a torch file of any version.

    Args:
        path: The file; its size is bounded by `MAX_FILE_BYTES`. What it holds is a dictionary of tensors, or a
            dictionary that has one under `state_dict`.

    Returns:
        Arrays by tensor name in the order of the file, of the shapes and the axis order of torch: read-only views
        into the mapped file in its own types, of which bfloat16 is refused.

    Raises:
        ZooError: The file is absent, too large, truncated, of another format, or asks for anything but tensors.
    """
    buffer = map_file(path)
    try:
        return _read_zip(buffer) if buffer[:4] == ZIP_MAGIC else _read_legacy(buffer)
    except ZooError as error:
        raise ZooError(
            f"cannot read weights from {path.name}", expected="a state dictionary by torch.save", received=str(error)
        ) from error


def _read_zip(buffer: mmap.mmap) -> dict[str, NDArray[Any]]:
    members = read_members(buffer)
    start, end = _member(members, "data.pkl")
    if end - start > MAX_PICKLE_BYTES:
        raise ZooError("the pickle is too long", expected=f"at most {MAX_PICKLE_BYTES} bytes")
    byte_order = buffer[slice(*members["byteorder"])] if "byteorder" in members else b"little"
    if byte_order != b"little":
        raise ZooError("wrong byte order", expected="little", received=repr(byte_order[:20]))
    unpickled = read_pickle(buffer[start:end])
    starts = {}
    for key, storage in unpickled.storages.items():
        starts[key], end = _member(members, f"data/{key}")
        if end - starts[key] != storage.n_values * _item_bytes(storage):
            raise ZooError(f"storage {key} has {end - starts[key]} bytes", expected=f"{storage.n_values} values")
    return _read_tensors(buffer, unpickled.value, starts)


def _member(members: Mapping[str, tuple[int, int]], name: str) -> tuple[int, int]:
    if name not in members:
        raise ZooError(f"the archive has no member {name}", received=examples(members))
    return members[name]


def _read_legacy(buffer: mmap.mmap) -> dict[str, NDArray[Any]]:
    head = buffer[:MAX_PICKLE_BYTES]
    magic = read_pickle(head)
    protocol = read_pickle(head, magic.end)
    system = read_pickle(head, protocol.end)
    little = isinstance(system.value, dict) and system.value.get("little_endian") is True
    if magic.value != _MAGIC or protocol.value != _PROTOCOL or not little:
        raise ZooError("wrong head", expected=f"magic number {_MAGIC:#x}, protocol {_PROTOCOL}, little-endian")
    unpickled = read_pickle(head, system.end)
    keys = read_pickle(head, unpickled.end)
    return _read_tensors(buffer, unpickled.value, _find_storages(buffer, unpickled, keys))


def _find_storages(buffer: mmap.mmap, unpickled: Unpickled, keys: Unpickled) -> dict[str, int]:
    """Find where the values of each storage begin."""
    named = keys.value if isinstance(keys.value, list) else []
    if not all(type(key) is str for key in named) or sorted(named) != sorted(unpickled.storages):
        raise ZooError("the storages of the file are not those of its tensors", received=examples(unpickled.storages))
    starts = {}
    position = keys.end
    for key in named:
        storage = unpickled.storages[key]
        n_values = int.from_bytes(buffer[position : position + 8], "little")
        if n_values != storage.n_values:
            raise ZooError(f"storage {key} has {n_values} values", expected=str(storage.n_values))
        starts[key] = position + 8
        position += 8 + n_values * _item_bytes(storage)
    if position != len(buffer):
        raise ZooError(
            "the last storage does not end the file", expected=f"{position} bytes", received=f"{len(buffer)}"
        )
    return starts


def _item_bytes(storage: Storage) -> int:
    return np.dtype(storage.dtype).itemsize


def _read_tensors(buffer: mmap.mmap, found: Any, starts: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    tensors = found[_CHECKPOINT] if isinstance(found, dict) and _CHECKPOINT in found else found
    if not isinstance(tensors, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in tensors.items()
    ):
        raise ZooError("the pickle holds something else than tensors by name")
    return {name: _array(buffer, name, tensor, starts[tensor.storage.key]) for name, tensor in tensors.items()}


def _array(buffer: mmap.mmap, name: str, tensor: Tensor, start: int) -> NDArray[Any]:
    if type(tensor.shape) is not tuple or type(tensor.strides) is not tuple:
        raise ZooError(f"tensor {name} has no valid shape", expected="tuples for shape and strides")
    values = mapped_values(buffer, tensor.storage.dtype, tensor.storage.n_values, start)
    return strided_view(values, tensor.offset, tensor.shape, tensor.strides, name=name)
