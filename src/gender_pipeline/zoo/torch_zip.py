"""Find the members of the zip archives torch 1.6 and later writes; nothing is decompressed or extracted.

`torch.save` stores every member as it is, so a member is a range of the file. This reads only what such an archive
has: Python's `zipfile` would first build an object for each of the millions of members a hostile directory may claim.
"""

import mmap
import re
import struct
from typing import Final, NamedTuple

from gender_pipeline.errors import ZooError

ZIP_MAGIC: Final = b"PK\x03\x04"
MAX_DIRECTORY_BYTES: Final = 2**20  # VGG16 has 3 kB for 32 storages
# Signature, then what the zip specification (APPNOTE 6.3, sections 4.3.7, 4.3.12, 4.3.16) puts in this order.
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_NAME: Final = re.compile(r"[^/\\\x00-\x1f:]+(/[^/\\\x00-\x1f:]+)+")
_ENCRYPTED: Final = 1


class _Entry(NamedTuple):
    """One entry of the central directory, and the bytes in the file that are the member's own."""

    name: str
    begin: int
    start: int
    end: int


def read_members(buffer: mmap.mmap) -> dict[str, tuple[int, int]]:
    """List the members of a torch archive.

    Args:
        buffer: The whole file.

    Returns:
        Positions of the first byte and after the last by name, without the folder all of them are in.

    Raises:
        ZooError: It is no whole zip archive, or not one torch writes: a member is compressed, overlaps another, has a
            name that leaves the archive, or stands there twice.
    """
    if len(buffer) < _END.size:
        raise ZooError("the zip archive is cut off")
    # At most 2 GiB are mapped, so that the fields for larger archives (zip64, which torch writes too) add nothing.
    signature, *_, n_entries, size, position, comment = _END.unpack_from(buffer, len(buffer) - _END.size)
    if signature != b"PK\x05\x06" or comment:
        raise ZooError("the zip archive is cut off", expected="a directory at its end")
    if size > MAX_DIRECTORY_BYTES or position + size > len(buffer):
        raise ZooError("the directory of the zip archive is too large", received=f"{size} bytes at {position}")
    entries = _read_directory(buffer, position, n_entries)
    _check_places(entries, position)
    members = {entry.name.partition("/")[2]: (entry.start, entry.end) for entry in entries}
    if len(members) < n_entries or len({entry.name.partition("/")[0] for entry in entries}) > 1:
        raise ZooError("the zip archive has a member twice, or more than one folder")
    return members


def _read_directory(buffer: mmap.mmap, position: int, n_entries: int) -> list[_Entry]:
    entries = []
    directory = buffer[position : position + MAX_DIRECTORY_BYTES]
    place = 0
    for _ in range(n_entries):
        if place + _ENTRY.size > len(directory) or directory[place : place + 4] != b"PK\x01\x02":
            raise ZooError("the directory of the zip archive is damaged")
        fields = _ENTRY.unpack_from(directory, place)
        flags, method, packed, n_bytes, name_length, extra, comment, begin = (*fields[3:5], *fields[8:13], fields[16])
        raw_name = directory[place + _ENTRY.size : place + _ENTRY.size + name_length]
        name = _checked_name(raw_name)
        if method or flags & _ENCRYPTED or packed != n_bytes:
            raise ZooError(f"member {name} is compressed or encrypted", expected="members stored as they are")
        start = _start_of_member(buffer, begin, raw_name)
        entries.append(_Entry(name, begin, start, start + n_bytes))
        place += _ENTRY.size + name_length + extra + comment
    return entries


def _checked_name(raw: bytes) -> str:
    name = raw.decode("utf-8", "replace")
    if not _NAME.fullmatch(name) or ".." in name.split("/"):
        raise ZooError("the zip archive has a member with a name torch does not write", received=repr(name[:80]))
    return name


def _start_of_member(buffer: mmap.mmap, begin: int, raw_name: bytes) -> int:
    """Read the member's own header, which says by how much torch has padded it."""
    if begin + _LOCAL.size > len(buffer):
        raise ZooError("a member of the zip archive lies outside the file")
    signature, *_, name_length, extra = _LOCAL.unpack_from(buffer, begin)
    after_name = begin + _LOCAL.size + name_length
    if signature != ZIP_MAGIC or buffer[begin + _LOCAL.size : after_name] != raw_name:
        raise ZooError("a member of the zip archive is not where the directory says")
    return int(after_name + extra)


def _check_places(entries: list[_Entry], directory: int) -> None:
    ends = sorted((entry.begin, entry.end) for entry in entries)
    following = [begin for begin, _ in ends[1:]] + [directory]
    if any(end > begin for (_, end), begin in zip(ends, following, strict=True)):
        raise ZooError("members of the zip archive overlap or reach past its directory")
