"""Arrays as read-only views of a memory-mapped file, so that a file larger than the memory can be read in part."""

import math
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import ZooError

MAX_FILE_BYTES: Final = 2 * 1024**3  # the largest weights the design names, VGG-Face, have 0.6 GB
MAX_DIMENSIONS: Final = 16  # numpy takes 64, torch kernels have at most 5


def map_file(path: Path) -> mmap.mmap:
    """Map a file for reading; the map lives as long as an array over it.

    Raises:
        ZooError: The file is absent, empty or larger than `MAX_FILE_BYTES`.
    """
    size = path.stat().st_size if path.is_file() else 0
    if not 0 < size <= MAX_FILE_BYTES:
        raise ZooError(
            f"cannot read weights from {path.name}",
            expected=f"a file of 1 to {MAX_FILE_BYTES} bytes",
            received=f"{size} bytes" if path.is_file() else "no file",
        )
    with path.open("rb") as file:
        return map_open_file(file)


def map_open_file(file: BinaryIO) -> mmap.mmap:
    """Map an open file that is not empty; it may be closed or deleted afterwards."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def mapped_values(buffer: mmap.mmap, dtype: str, n_values: int, start: int) -> NDArray[Any]:
    """View a run of numbers in a mapped file.

    Args:
        buffer: The file.
        dtype: Numpy's name of the type, with the byte order.
        n_values: How many.
        start: Position of the first in bytes; it need not be aligned.

    Returns:
        (n_values,) of the dtype, read-only.

    Raises:
        ZooError: They are not all in the file.
    """
    n_bytes = n_values * np.dtype(dtype).itemsize
    if n_values < 0 or start + n_bytes > len(buffer):
        left = max(0, len(buffer) - start)
        raise ZooError("a storage is larger than the file", expected=f"{n_bytes} bytes", received=f"{left} bytes")
    # numpy takes no empty buffer after the last byte
    return np.frombuffer(buffer, dtype, n_values, start) if n_values else np.empty(0, dtype)


def strided_view(
    values: NDArray[Any], offset: int, shape: Sequence[int], strides: Sequence[int], *, name: str
) -> NDArray[Any]:
    """View a tensor in its storage.

    Args:
        values: (n,) the storage.
        offset: Position of the tensor's first value.
        shape: Its lengths, each at least 1.
        strides: Distance of neighbours along each axis, in values.
        name: What to call it in an error.

    Returns:
        Array of that shape, read-only.

    Raises:
        ZooError: The numbers are none, negative or reach past the storage.
    """
    if any(type(number) is not int or number < 0 for number in (offset, *shape, *strides)):
        raise ZooError(f"tensor {name} has no valid shape", expected="integers from 0 for offset, shape and strides")
    if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        raise ZooError(f"tensor {name} has {len(shape)} lengths and {len(strides)} strides")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # The second bound refuses stride 0: it would let a small file claim a tensor of any size.
    if last >= len(values) or not 0 < math.prod(shape) <= len(values):
        raise ZooError(f"tensor {name} reaches past its storage", expected=f"at most {len(values)} values")
    steps = [stride * values.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], tuple(shape), steps, writeable=False)
