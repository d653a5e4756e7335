"""Read tensors from the `.pth` files torch wrote before version 1.6, without torch and without running what they say.

Such a file is five pickles in a row (magic number, protocol version, facts about the system, the object, the list of
storage keys), then every storage as an 8-byte element count and its raw values, all little-endian
(`torch.serialization._legacy_load`). A pickle is a program. Here it may use only the opcodes and the names such a file
needs; all else ends in a `ZooError` before anything has run.
"""

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import ZooError, examples

MAX_FILE_BYTES: Final = 2 * 1024**3  # the largest weights the design names, VGG-Face, have 0.6 GB
MAX_PICKLE_BYTES: Final = 4 * 1024**2  # of all five; those of EfficientNet-Lite0 have 47 kB
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
# What `torch.save` wrote at pickle protocol 2. Opcodes outside allocate by a number in the file (BYTEARRAY8) or reach
# objects past `find_class` (EXT1).
# fmt: off
_OPCODES: Final = frozenset([
    "PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE",
    "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "SETITEM", "SETITEMS", "APPEND",
    "APPENDS", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "REDUCE", "BUILD", "BINPERSID",
])
# fmt: on
_STORAGES: Final = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class _Storage(NamedTuple):
    """What a persistent id of the object pickle says of one storage."""

    key: str
    dtype: str
    n_values: int


class _Tensor(NamedTuple):
    """The arguments of `torch._utils._rebuild_tensor_v2`, kept instead of called."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    hooks: object


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # A new function each time: BUILD may set attributes of what stands here, and so reaches nothing of ours.
            return lambda *arguments: _Tensor(*arguments)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise ZooError(f"the pickle asks for {module}.{name}", expected="only tensors, torch storages and OrderedDict")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, n_values, view = pid
        if kind != "storage" or dtype not in _STORAGES.values() or type(key) is not str or view is not None:
            raise ZooError("the pickle names a storage of an unknown kind", received=repr(pid)[:80])
        return _Storage(key, dtype, n_values)


def read_torch_file(path: Path) -> dict[str, NDArray[Any]]:
    """Read the state dictionary of a torch file in the format before 1.6.

    Args:
        path: The file; its size is bounded by `MAX_FILE_BYTES`.

    Returns:
        Arrays by tensor name in the order of the file: read-only views into its content, float32 or int64, of the
        shapes and the axis order of torch.

    Raises:
        ZooError: The file is absent, too large, truncated, of another format, or asks for anything but tensors.
    """
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        raise ZooError(f"cannot read weights from {path.name}", expected=f"a file of at most {MAX_FILE_BYTES} bytes")
    data = path.read_bytes()
    if data.startswith(b"PK\x03\x04"):
        raise ZooError(
            f"{path.name} has the zip format of torch 1.6 and later",
            expected="the format before 1.6",
            remedy="write it with torch.save(..., _use_new_zipfile_serialization=False)",
        )
    try:
        return _read_tensors(io.BytesIO(data))
    except Exception as error:  # a hostile pickle can raise anything, from UnicodeDecodeError to RecursionError
        raise ZooError(
            f"cannot read weights from {path.name}",
            expected="a state dictionary in the torch format before 1.6",
            received=str(error) if isinstance(error, ZooError) else f"{type(error).__name__}: {error}",
        ) from error


def _read_tensors(file: BinaryIO) -> dict[str, NDArray[Any]]:
    magic, protocol, system = (_unpickle(file) for _ in range(3))
    if magic != _MAGIC or protocol != _PROTOCOL or system["little_endian"] is not True:
        raise ZooError("wrong head", expected=f"magic number {_MAGIC:#x}, protocol {_PROTOCOL}, little-endian")
    tensors = _unpickle(file)
    if not all(isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in tensors.items()):
        raise ZooError("the pickle holds something else than tensors by name")
    storages = _read_storages(file, {tensor.storage.key: tensor.storage for tensor in tensors.values()})
    return {name: _view(name, tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _unpickle(file: BinaryIO) -> Any:
    start = file.tell()
    for opcode, argument, _ in pickletools.genops(file):
        if file.tell() > MAX_PICKLE_BYTES:
            raise ZooError("the pickles are too long", expected=f"at most {MAX_PICKLE_BYTES} bytes")
        # The unpickler makes its memo as long as the highest index: one opcode could ask for 32 GB.
        if opcode.name not in _OPCODES or (opcode.name == "LONG_BINPUT" and (argument or 0) > file.tell()):
            raise ZooError("the pickle uses an opcode no torch file has", received=opcode.name)
    end = file.tell()
    file.seek(start)
    return _RestrictedUnpickler(io.BytesIO(file.read(end - start))).load()


def _read_storages(file: BinaryIO, storages: Mapping[str, _Storage]) -> dict[str, NDArray[Any]]:
    keys = _unpickle(file)
    if sorted(keys) != sorted(storages):
        raise ZooError("the storages of the file are not those of its tensors", received=examples(keys))
    values = {key: _read_values(file, storages[key]) for key in keys}
    if file.read(1):
        raise ZooError("there are bytes after the last storage")
    return values


def _read_values(file: BinaryIO, storage: _Storage) -> NDArray[Any]:
    n_values = int.from_bytes(file.read(8), "little")
    if n_values != storage.n_values:
        raise ZooError(f"storage {storage.key} has {n_values} values", expected=str(storage.n_values))
    n_bytes = n_values * np.dtype(storage.dtype).itemsize
    data = file.read(n_bytes)  # a BytesIO gives what is there, however much is asked for
    if len(data) != n_bytes:
        raise ZooError(f"storage {storage.key} is larger than the file", expected=f"{n_bytes} bytes")
    return np.frombuffer(data, storage.dtype)


def _view(name: str, tensor: _Tensor, values: NDArray[Any]) -> NDArray[Any]:
    shape, strides, offset = tensor.shape, tensor.strides, tensor.offset
    if any(type(number) is not int or number < 0 for number in (offset, *shape, *strides)):
        raise ZooError(f"tensor {name} has no valid shape", received=f"{offset}, {shape}, {strides}"[:80])
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # The second bound refuses stride 0: it would let a small file claim a tensor of any size.
    if last >= len(values) or not 0 < math.prod(shape) <= len(values):
        raise ZooError(f"tensor {name} reaches past its storage", expected=f"at most {len(values)} values")
    steps = [stride * values.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)
