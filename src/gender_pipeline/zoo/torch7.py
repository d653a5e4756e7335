"""Read Torch7 files (`.t7`, the binary serialisation of Lua's Torch), without Torch and without running functions.

The format is `File.lua` of torch7 at 64 bits, little-endian: an int32 says what follows; numbers are float64, booleans
int32, strings an int32 length and bytes. Tables, objects of a class and functions carry the number under which they
are referred to again, counted from 1 in the order of the file. An object is its version ("V 1"), its class name and
whatever its class writes: tensors their geometry and a storage, storages their values, all others one table of fields.
"""

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo.mapped import MAX_DIMENSIONS, mapped_values, strided_view

MAX_DEPTH: Final = 100  # values inside values; the networks have about 10, and Python's own stack is the limit
MAX_VALUES: Final = 200_000  # a VGG-Face has about 1,000; 200,000 take 60 MB as Python objects
MAX_STRING_BYTES: Final = 4096  # names of fields and classes; the longest known is a line of source
_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN, _FUNCTION, _OLD_RECURSIVE, _RECURSIVE = range(9)
_DTYPES: Final = {
    "Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8", "Half": "<f2", "Float": "<f4",
    "Double": "<f8", "Cuda": "<f4", "CudaByte": "u1", "CudaChar": "i1", "CudaShort": "<i2", "CudaInt": "<i4",
    "CudaLong": "<i8", "CudaHalf": "<f2", "CudaDouble": "<f8",
}  # fmt: skip
_TENSORS: Final = {f"torch.{kind}Tensor": dtype for kind, dtype in _DTYPES.items()}
_STORAGES: Final = {f"torch.{kind}Storage": dtype for kind, dtype in _DTYPES.items()}


@dataclass(eq=False)
class Table:
    """A Lua table.

    Attributes:
        items: Values by key, in the order of the file; a list has the keys 1.0, 2.0, ... A table may hold itself.
    """

    items: dict[Any, Any] = field(default_factory=dict)


@dataclass(eq=False)
class TorchObject:
    """An object of a Torch class, or a function, of which nothing but the values it closes over is kept.

    Attributes:
        class_name: Such as `nn.SpatialConvolution`; `function` for a function.
        fields: What the class wrote, as a rule a `Table`. It may hold the object itself.
    """

    class_name: str
    fields: Any = None


def read_torch7(buffer: mmap.mmap) -> Any:
    """Read the first value of a Torch7 file.

    Args:
        buffer: The file.

    Returns:
        None, float, bool, str (one character a byte), `Table`, `TorchObject`, or for tensors and storages an array:
        a read-only view into the file of the tensor's shape and type, (0,) for an empty one.

    Raises:
        ZooError: The file is cut off, of another format, or beyond the bounds for depth, values, strings or tensors.
    """
    return _Reader(buffer).value()


class _Reader:
    def __init__(self, buffer: mmap.mmap) -> None:
        self._buffer = buffer
        self._position = 0
        self._depth = 0
        self._n_values = 0
        self._n_referable = 0
        self._referable: dict[int, Any] = {}

    def value(self) -> Any:
        self._n_values += 1
        if self._depth >= MAX_DEPTH or self._n_values > MAX_VALUES:
            raise ZooError(
                "the file nests or counts too many values", expected=f"{MAX_DEPTH} deep, {MAX_VALUES} in all"
            )
        kind = self._int()
        if kind not in _READERS:
            raise ZooError(f"unknown kind of value {kind} at byte {self._position - 4}", expected="a kind from 0 to 8")
        self._depth += 1
        value = _READERS[kind](self)
        self._depth -= 1
        return value

    def number(self) -> float:
        return float(self._unpack("<d", 8)[0])

    def string(self) -> str:
        n_bytes = self._int()
        if not 0 <= n_bytes <= MAX_STRING_BYTES:
            raise ZooError(f"a string of {n_bytes} bytes at byte {self._position}", expected=f"0 to {MAX_STRING_BYTES}")
        return self._take(n_bytes).decode("latin-1")

    def boolean(self) -> bool:
        return self._int() == 1

    def table(self) -> Any:
        return self._referred(self._new_table)

    def torch_object(self) -> Any:
        return self._referred(self._new_object)

    def function(self) -> TorchObject:
        return self._function(TorchObject("function"))

    def recursive_function(self) -> Any:
        # It is remembered first, because it may close over itself.
        return self._referred(lambda number: self._function(self._remember(number, TorchObject("function"))))

    def _function(self, function: TorchObject) -> TorchObject:
        n_bytes = self._int()
        if n_bytes < 0:
            raise ZooError(f"a function of {n_bytes} bytes at byte {self._position}", expected="at least 0")
        self._take(n_bytes, copy=False)  # byte code of LuaJIT: passed over
        function.fields = self.value()
        return function

    def _referred(self, read: Callable[[int], Any]) -> Any:
        """Give what has been read under the number that comes next, or read it where the number is the next new one."""
        number = self._int()
        if number in self._referable:
            return self._referable[number]
        if number != self._n_referable + 1:
            raise ZooError(f"byte {self._position - 4} refers to value {number}", expected="one that is there by then")
        self._n_referable = number
        return read(number)

    def _remember(self, number: int, value: Any) -> Any:
        self._referable[number] = value
        return value

    def _new_table(self, number: int) -> Table:
        # Remembered while still empty, because it may hold itself.
        table: Table = self._remember(number, Table())
        for _ in range(self._count(8)):
            self._item_into(table)
        return table

    def _item_into(self, table: Table) -> None:
        key, value = self.value(), self.value()
        if key is None or isinstance(key, np.ndarray) or key in table.items:
            raise ZooError(f"a table has a key twice or one of no use before byte {self._position}")
        table.items[key] = value

    def _new_object(self, number: int) -> Any:
        version = self.string()
        # Files from before versions begin with the class name.
        name = self.string() if version.startswith("V ") else version
        if name in _TENSORS:
            return self._remember(number, self._tensor(_TENSORS[name], name))
        if name in _STORAGES:
            return self._remember(number, self._storage(_STORAGES[name]))
        found: TorchObject = self._remember(number, TorchObject(name))
        if name in ("tds.Hash", "tds.Vec"):
            found.fields = self._container(with_keys=name == "tds.Hash")
        else:
            found.fields = self.value()
        return found

    def _container(self, *, with_keys: bool) -> Table:
        """Read a container of the package tds: a count, then values, each after its key where it has keys."""
        table = Table()
        for place in range(1, self._count(8, wide=True) + 1):
            if with_keys:
                self._item_into(table)
            else:
                table.items[float(place)] = self.value()
        return table

    def _tensor(self, dtype: str, name: str) -> NDArray[Any]:
        n_dimensions = self._int()
        if not 0 <= n_dimensions <= MAX_DIMENSIONS:
            raise ZooError(f"a tensor of {n_dimensions} dimensions at byte {self._position}")
        shape = self._unpack(f"<{n_dimensions}q", 8 * n_dimensions)
        strides = self._unpack(f"<{n_dimensions}q", 8 * n_dimensions)
        offset = self._unpack("<q", 8)[0] - 1  # Lua counts from 1
        storage = self.value()
        if not n_dimensions or storage is None:
            return np.empty(0, dtype)
        if not isinstance(storage, np.ndarray) or storage.ndim != 1 or storage.dtype != np.dtype(dtype):
            raise ZooError(f"a {name} without a storage of its type before byte {self._position}")
        return strided_view(storage, offset, shape, strides, name=f"before byte {self._position}")

    def _storage(self, dtype: str) -> NDArray[Any]:
        n_values = self._unpack("<q", 8)[0]
        values = mapped_values(self._buffer, dtype, n_values, self._position)
        self._position += values.nbytes
        return values

    # A count is believed only as far as the file could hold so many: no loop or list is longer than the file.
    def _count(self, item_bytes: int, *, wide: bool = False) -> int:
        count = int(self._unpack("<q", 8)[0]) if wide else self._int()
        if not 0 <= count * item_bytes <= len(self._buffer) - self._position:
            raise ZooError(f"a table of {count} items at byte {self._position}", expected="no more than the file holds")
        return count

    def _int(self) -> int:
        return int(self._unpack("<i", 4)[0])

    def _unpack(self, layout: str, n_bytes: int) -> tuple[Any, ...]:
        return struct.unpack(layout, self._take(n_bytes))

    def _take(self, n_bytes: int, *, copy: bool = True) -> bytes:
        start, self._position = self._position, self._position + n_bytes
        if self._position > len(self._buffer):
            raise ZooError("the file is cut off", expected=f"{self._position} bytes", received=f"{len(self._buffer)}")
        return self._buffer[start : self._position] if copy else b""


_READERS: Final[dict[int, Callable[[_Reader], Any]]] = {
    _NIL: lambda _: None,
    _NUMBER: _Reader.number,
    _STRING: _Reader.string,
    _TABLE: _Reader.table,
    _OBJECT: _Reader.torch_object,
    _BOOLEAN: _Reader.boolean,
    _FUNCTION: _Reader.function,
    _OLD_RECURSIVE: _Reader.recursive_function,
    _RECURSIVE: _Reader.recursive_function,
}
