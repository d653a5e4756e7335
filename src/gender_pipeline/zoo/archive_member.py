"""Take one large member out of a tar.gz archive, in bounded memory and to a file that has no name."""

import gzip
import mmap
import tarfile
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo.mapped import MAX_FILE_BYTES, map_open_file

_BLOCK_BYTES: Final = tarfile.BLOCKSIZE
_COPY_BYTES: Final = 2**20


def map_member(archive: Path, name: str, scratch: Path) -> mmap.mmap:
    """Unpack a member and map it; the space on disk is free again when the map is gone.

    Args:
        archive: A tar.gz file.
        name: The member's name without its folders.
        scratch: Folder on a disk with room for the member; it is made where it does not exist.

    Raises:
        ZooError: There is no such member within the first `MAX_FILE_BYTES`, or it is larger than that.
        EOFError, OSError, zlib.error, tarfile.TarError: The archive is damaged.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with cast("BinaryIO", gzip.open(archive)) as stream, tempfile.TemporaryFile(dir=scratch) as file:
        _copy(stream, file, _find_member(stream, name), title=name)
        # To the end: that is where gzip has its checksum. What follows in the published archive is small.
        _copy(stream, None, MAX_FILE_BYTES, to_end=True)
        file.flush()
        return map_open_file(cast("BinaryIO", file))


def _find_member(stream: BinaryIO, name: str) -> int:
    """Move to the first byte of the member and give its size.

    This reads the plain headers only: `tarfile` reads the long names before a member whole, whatever size they claim.
    """
    passed = 0
    while passed < MAX_FILE_BYTES and (block := stream.read(_BLOCK_BYTES)).strip(b"\0"):
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if header.size < 0:
            raise ZooError("the archive has a member of negative size")
        if header.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and header.name.rpartition("/")[2] == name:
            if not 0 < header.size <= MAX_FILE_BYTES:
                raise ZooError(f"{name} has {header.size} bytes", expected=f"1 to {MAX_FILE_BYTES}")
            return header.size
        padded = -(-header.size // _BLOCK_BYTES) * _BLOCK_BYTES
        passed += _BLOCK_BYTES + padded
        if passed < MAX_FILE_BYTES:
            _copy(stream, None, padded)
    raise ZooError(f"the archive has no member {name}", expected=f"one within {MAX_FILE_BYTES} bytes")


def _copy(stream: BinaryIO, file: Any, n_bytes: int, *, title: str = "", to_end: bool = False) -> None:
    """Copy bytes with a progress bar, or pass over them where there is no file."""
    from tqdm import tqdm

    with tqdm(total=n_bytes, unit="B", unit_scale=True, desc=f"unpack {title}", disable=file is None) as bar:
        while n_bytes and (data := stream.read(min(n_bytes, _COPY_BYTES))):
            if file is not None:
                file.write(data)
            n_bytes -= len(data)
            bar.update(len(data))
    if (n_bytes == 0) is to_end:
        raise ZooError("the archive is too long" if to_end else f"the archive is cut off, {n_bytes} bytes are missing")
