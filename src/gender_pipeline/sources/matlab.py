"""MATLAB files of version 5 (R8 to R2006a and `save -v7`), read as plain values.

`scipy.io.loadmat` decompresses without a bound and overruns the stack on deeply nested cells, which ends the process
(scipy 1.17: 100,000 levels, a file of 6 MB). This reader knows only what annotation files hold: numbers, text,
cells and structs. Objects, function handles and whatever else a file may carry are passed over as None.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from gender_pipeline.errors import SourceError

_HEADER_BYTES: Final = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC: Final = range(6, 16)
_DTYPES: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MAX_DEPTH: Final = 8  # cells in structs in cells; RAP's partition needs four
_MAX_VALUES: Final = 1_000_000  # an empty value takes 8 bytes in the file and 100 in memory


def read_mat(data: bytes, file_name: str, variable: str, max_bytes: int) -> Any:
    """Read one variable of a MATLAB file.

    Args:
        data: The file's content.
        file_name: Its name, for messages.
        variable: Name of the variable.
        max_bytes: Most bytes that may come out of decompression.

    Returns:
        An array of numbers in MATLAB's shape (two axes or more), a str, a list of a cell's values in column order, a
        dict of a struct's fields or a list of them, or None for any other kind of value.

    Raises:
        SourceError: The file is of version 7.3 (HDF5), damaged, too large, nested too deeply, or has no such variable.
    """
    if data.startswith(b"MATLAB 7.3") or b"\x89HDF" in data[:1024]:
        raise SourceError(
            f"{file_name} is a MATLAB 7.3 (HDF5) file",
            expected="version 5",
            remedy="load it in MATLAB or Octave and save it again with -v7",
        )
    try:
        # The writer stored the letters MI as a number; read back the other way round they show its byte order.
        order = {b"IM": "<", b"MI": ">"}[data[126:_HEADER_BYTES]]
        found = _Reader(order, max_bytes).variables(data[_HEADER_BYTES:], variable)
    # What absurd sizes and shapes raise in struct, zlib and numpy.
    except (KeyError, ValueError, OverflowError, IndexError, MemoryError, struct.error, zlib.error) as error:
        raise SourceError(
            f"{file_name} is damaged or no MATLAB file: {error or type(error).__name__}",
            expected="a whole MATLAB file of version 5",
            received=f"{len(data)} bytes that begin with {data[:16]!r}",
            remedy="fetch it again",
        ) from error
    if not found:
        raise SourceError(f"{file_name} has no variable {variable}", remedy="use the data set's original file")
    return found[0]


class _Reader:
    """Reads elements of one byte order, and counts the values made."""

    def __init__(self, order: str, max_bytes: int) -> None:
        self.order = order
        self.max_bytes = max_bytes
        self.n_values = 0

    def variables(self, data: bytes, wanted: str) -> list[Any]:
        """Read the variables of that name; the others are not even parsed."""
        found = []
        for kind, content in self.elements(data):
            if kind == _COMPRESSED:
                unpacker = zlib.decompressobj()
                content = unpacker.decompress(content, self.max_bytes)
                if unpacker.unconsumed_tail:
                    raise ValueError(f"over {self.max_bytes >> 20} MiB once decompressed")
                if not unpacker.eof:
                    raise ValueError("compressed data is cut off")
                kind, content = next(self.elements(content), (0, b""))
            if kind == _MATRIX and content and self.header(content)[2] == wanted:
                found.append(self.value(content, 0))
        return found

    def elements(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield kind and content of the elements that stand one after another; compressed ones are not padded."""
        start = 0
        while start < len(data):
            kind, size = struct.unpack_from(f"{self.order}II", data, start)
            begin = start + 8
            if kind >> 16:  # at most 4 bytes, packed into the tag itself
                kind, size, begin = kind & 0xFFFF, kind >> 16, start + 4
            if begin + size > len(data):
                raise ValueError("an element is cut off")
            yield kind, data[begin : begin + size]
            step = size if kind == _COMPRESSED else size + -size % 8
            start = start + 8 if begin == start + 4 else begin + step

    def header(self, matrix: bytes) -> tuple[int, tuple[int, ...], str, Iterator[tuple[int, bytes]]]:
        """Return a matrix' class, shape and name, and the elements that follow these."""
        rest = self.elements(matrix)
        flags, shape, name = (next(rest, (0, b""))[1] for _ in range(3))
        (bits,) = struct.unpack_from(f"{self.order}I", flags)
        sizes = tuple(int(size) for size in np.frombuffer(shape, f"{self.order}i4"))
        if len(sizes) < 2 or min(sizes) < 0:
            raise ValueError(f"a matrix of shape {sizes}")
        return bits & 0xFF, sizes, name.decode("latin-1"), rest

    def value(self, matrix: bytes, depth: int) -> Any:
        """Turn a matrix' content into a value."""
        self.n_values += 1
        if depth > _MAX_DEPTH or self.n_values > _MAX_VALUES:
            raise ValueError(f"more than {_MAX_DEPTH} levels or {_MAX_VALUES} values")
        if not matrix:
            return np.empty((0, 0))
        kind, shape, _, rest = self.header(matrix)
        if kind in _NUMERIC:
            return self.numbers(next(rest, (2, b"")), shape)
        if kind == _CHAR:
            return self.text(next(rest, (2, b"")))
        if kind == _CELL:
            return self.values(rest, math.prod(shape), depth)
        return self.structs(rest, math.prod(shape), depth) if kind == _STRUCT else None

    def numbers(self, element: tuple[int, bytes], shape: tuple[int, ...]) -> np.ndarray:
        """Return an array (shape) of the stored dtype, which may be smaller than the matrix' own."""
        kind, content = element
        return np.frombuffer(content, f"{self.order}{_DTYPES[kind]}").reshape(shape, order="F")

    def text(self, element: tuple[int, bytes]) -> str:
        """Decode text: 16 is UTF-8; 4 and 17 are two bytes a character."""
        kind, content = element
        wide = "utf-16-le" if self.order == "<" else "utf-16-be"
        return content.decode({16: "utf-8", 4: wide, 17: wide}.get(kind, "latin-1"))

    def values(self, elements: Iterator[tuple[int, bytes]], count: int, depth: int) -> list[Any]:
        """Read as many values as announced; nothing is allocated by the announcement."""
        # As many as there are bytes for, then compared: a cell may claim 2^62 values.
        found = [self.value(content, depth + 1) for _, content in elements]
        if len(found) != count:
            raise ValueError(f"{len(found)} values where {count} are announced")
        return found

    def structs(self, elements: Iterator[tuple[int, bytes]], count: int, depth: int) -> Any:
        """Return a dict of the fields of a struct, or a list of dicts where there is not one."""
        (width,) = struct.unpack_from(f"{self.order}i", next(elements, (0, b""))[1])
        names = next(elements, (0, b""))[1]
        if width < 1 or not names or len(names) % width:
            raise ValueError("a struct without fields")
        fields = [
            names[start : start + width].split(b"\0")[0].decode("latin-1") for start in range(0, len(names), width)
        ]
        values = self.values(elements, count * len(fields), depth)
        rows = [dict(zip(fields, values[i : i + len(fields)], strict=True)) for i in range(0, len(values), len(fields))]
        return rows[0] if len(rows) == 1 else rows
