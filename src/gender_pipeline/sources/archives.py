"""Members of a zip, tar, tar.gz or folder, in their order, one at a time, with nothing extracted to disk.

An archive is hostile until shown otherwise. What is wrong with one member (a name that leaves the archive, a link, too
many bytes, a bad checksum) makes a `Member` with a `problem` and no bytes, so that it ends in the quarantine table;
what is wrong with the file (cut off, not an archive) raises a `SourceError`.
"""

import gzip
import os
import posixpath
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

from pydantic import Field

from gender_pipeline.errors import SourceError, examples
from gender_pipeline.schema import Settings

ARCHIVE_SUFFIXES: Final = (".zip", ".tar.gz", ".tgz", ".tar")
PHOTO_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")

_MAX_HEADER_BYTES: Final = 1 << 20  # tarfile reads long names and pax headers whole, whatever size they claim
_MAX_NAME_LENGTH: Final = 1024
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_NAME_PROBLEMS: Final = (
    (re.compile(r"\\"), "backslash in the member's name"),
    (re.compile(r"^/|^[A-Za-z]:"), "absolute member name"),
    (re.compile(r"(^|/)\.\.(/|$)"), "member name leaves the archive"),
    (_UNPRINTABLE, "member name is not printable UTF-8"),
    (re.compile(f"(?s).{{{_MAX_NAME_LENGTH + 1}}}"), f"member name over {_MAX_NAME_LENGTH} characters"),
)
# What the standard library raises on damaged archives; OverflowError and ValueError come from absurd header fields.
_DAMAGE: Final = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, OverflowError,
    NotImplementedError, RuntimeError,
)  # fmt: skip

_EARLY_END: Final = (
    tarfile.InvalidHeaderError,  # type: ignore[attr-defined]
    tarfile.TruncatedHeaderError,  # type: ignore[attr-defined]
    tarfile.EmptyHeaderError,  # type: ignore[attr-defined]
)
_EXTENSION_TYPES: Final = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip


class ArchiveLimits(Settings):
    """What an archive may hold at most.

    Attributes:
        max_member_mib: Size of a member once decompressed, in MiB; a larger one is refused, a larger table an error.
        max_members: Number of members; more is an error.
    """

    max_member_mib: int = Field(64, ge=1, le=2048)
    max_members: int = Field(5_000_000, ge=1)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive.

    Attributes:
        name: Path in the archive with `/` and without a leading `./`; in a folder it begins with the folder's name.
        data: The file's bytes; empty where there is a problem.
        problem: Why the member is refused, or None.
    """

    name: str
    data: bytes
    problem: str | None = None


def is_photo(name: str) -> bool:
    """Say whether a member is meant as a photo: by its suffix, and not hidden like `._1.jpg` or `__MACOSX/1.jpg`."""
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
    return name.lower().endswith(PHOTO_SUFFIXES) and not hidden


def find_archives(folder: Path, stem: str) -> list[Path]:
    """List the packings of `stem` in a folder: `stem.zip`, `.tar.gz`, `.tgz`, `.tar` or the folder `stem`."""
    packed = [folder / f"{stem}{suffix}" for suffix in ARCHIVE_SUFFIXES]
    return [path for path in packed if path.is_file()] + [path for path in (folder / stem,) if path.is_dir()]


def find_archive(folder: Path, *stems: str) -> Path:
    """Find the one archive or folder of the first of the stems that has any.

    Raises:
        SourceError: There is none, or two packings of one stem.
    """
    for stem in stems:
        found = find_archives(folder, stem)
        if len(found) > 1:
            names = examples(path.name for path in found)
            raise SourceError(f"{folder}: {stem} is there twice", received=names, remedy="remove all but one")
        if found:
            return found[0]
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    raise SourceError(
        f"{folder}: no photos found",
        expected=f"{' or '.join(stems)}, each as one of {', '.join(ARCHIVE_SUFFIXES)} or a folder",
        received=examples(there) if there else ("an empty folder" if folder.is_dir() else "no such folder"),
        remedy="put the data set's original files there, or correct the source's folder in the parameters",
    )


def reraise(error: OSError) -> None:
    """Make `os.walk` raise where it would pass over a folder that cannot be listed."""
    raise error


def read_members(path: Path, limits: ArchiveLimits, wanted: Callable[[str], bool] = is_photo) -> Iterator[Member]:
    """Yield the wanted files of an archive in archive order, and every refused one; folders are read in name order.

    Args:
        path: A zip, tar or tar.gz file, told apart by content, or a folder.
        limits: Largest member, most members.
        wanted: Says by name which files to read; the others are passed over unread.

    Raises:
        SourceError: The file is cut off, damaged, no archive, or has too many members.
    """
    try:
        for count, entry in enumerate(_entries(path)):
            if count >= limits.max_members:
                raise SourceError(f"{path} has too many members", expected=f"at most {limits.max_members}")
            problem = entry.problem or _name_problem(entry.name)
            name = posixpath.normpath(entry.name)
            if problem is not None:
                yield Member(_UNPRINTABLE.sub("?", name)[:_MAX_NAME_LENGTH], b"", problem)
            elif wanted(name):
                yield _read(name, entry, limits.max_member_mib << 20)
    except _DAMAGE as error:
        raise _damaged(path, error) from error


@dataclass(frozen=True, slots=True)
class _Entry:
    """A member before its name, size and kind are judged; `read` is good until the next entry is asked for."""

    name: str
    size: int
    problem: str | None
    read: Callable[[], bytes]


class _DamagedMemberError(Exception):
    """One member cannot be read while the others can."""


class _StrictTarInfo(tarfile.TarInfo):
    """A tar header that raises where tarfile would take damage for the end of the archive, or read without a bound."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except _EARLY_END as error:
            raise tarfile.ReadError(f"{error} at byte {archive.offset}") from error

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _EXTENSION_TYPES and header.size > _MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header claims {header.size} bytes")
        return header


def _entries(path: Path) -> Iterator[_Entry]:
    if path.is_dir():
        return _folder_entries(path)
    with path.open("rb") as file:
        magic = file.read(2)
    return _zip_entries(path) if magic == b"PK" else _tar_entries(path, zipped=magic == b"\x1f\x8b")


def _tar_entries(path: Path, *, zipped: bool) -> Iterator[_Entry]:
    # gzip.open, not tarfile's own `r|gz`: only the former checks the checksum at the end.
    with (
        cast("BinaryIO", gzip.open(path)) if zipped else path.open("rb") as stream,
        tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo, encoding="utf-8") as archive,
    ):
        while (header := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else it keeps every header: 1 KB a photo
            if not header.isdir():
                yield _Entry(header.name, header.size, _tar_problem(header), partial(_read_tar, archive, header))
        _drain(stream)


def _tar_problem(header: tarfile.TarInfo) -> str | None:
    if header.issym() or header.islnk():
        return "link, not a file"
    return None if header.isreg() and not header.issparse() else "not a regular file"


def _read_tar(archive: tarfile.TarFile, header: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(header)
    return file.read() if file is not None else b""


def _drain(stream: BinaryIO) -> None:
    """Read the padding after the last member, so that gzip checks its checksum; endless padding is damage."""
    for _ in range(64):
        if not stream.read(1 << 20):
            return
    raise tarfile.ReadError("over 64 MiB follow the last member")


def _zip_entries(path: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield _Entry(info.filename, info.file_size, _zip_problem(info), partial(_read_zip, archive, info))


def _zip_problem(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & 0x1:
        return "encrypted member"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile decompresses the others without a bound.
        return f"compression method {info.compress_type}, not deflate"
    mode = info.external_attr >> 16  # its kind is 0 where the archive was not made on Unix
    return _kind_problem(mode) if stat.S_IFMT(mode) else None


def _read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as file:
            # With a size: without one zipfile decompresses up to 2 GiB before it cuts to what the header says.
            return file.read(max(info.file_size, 1))
    except _DAMAGE as error:
        raise _DamagedMemberError(str(error)) from error


def _folder_entries(folder: Path) -> Iterator[_Entry]:
    for parent, folders, files in os.walk(folder, onerror=reraise):
        folders.sort()
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted(files + links):
            path = Path(parent, name)
            status = path.lstat()
            shown = path.relative_to(folder.parent).as_posix()
            problem = _kind_problem(status.st_mode)
            yield _Entry(shown, status.st_size, problem, partial(_read_file, path, status.st_size))


def _kind_problem(mode: int) -> str | None:
    # A followed link could lead anywhere on this machine when the folder was unpacked from a stranger's archive.
    kind = stat.S_IFMT(mode)
    return {stat.S_IFREG: None, stat.S_IFLNK: "link, not a file"}.get(kind, "not a regular file")


def _read_file(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise _DamagedMemberError(error.strerror or "unreadable") from error


def _read(name: str, entry: _Entry, max_bytes: int) -> Member:
    if entry.size > max_bytes:
        return Member(name, b"", f"larger than {max_bytes >> 20} MiB")
    try:
        data = entry.read()
    except _DamagedMemberError as error:
        return Member(name, b"", f"damaged member: {error}")
    return Member(name, data, None if data else "empty file")


def _name_problem(name: str) -> str | None:
    return next((problem for pattern, problem in _NAME_PROBLEMS if pattern.search(name)), None)


def _damaged(path: Path, error: Exception) -> SourceError:
    if path.is_file():
        with path.open("rb") as file:
            received = f"{path.stat().st_size} bytes that begin with {file.read(8)!r}"
    else:
        received = "a folder that cannot be read"
    return SourceError(
        f"{path} is damaged or no archive: {error or type(error).__name__}",
        expected="a whole zip, tar or tar.gz file, or a folder",
        received=received,
        remedy="fetch it again",
    )
