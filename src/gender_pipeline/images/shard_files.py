"""The files of one source in a store: `index.json` and the Parquet shards it names, each called after its content."""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from gender_pipeline import files
from gender_pipeline.errors import ImageError
from gender_pipeline.schema import MANIFEST_SCHEMA, SHARD_SCHEMA, Settings

INDEX_FILE: Final = "index.json"

_UNFINISHED: Final = ".unfinished.parquet"
_OUR_FILES: Final = re.compile(r"index\.json|\.index\.json\..*|[0-9a-f]{16}\.parquet|\.unfinished\.parquet")
_ROW_BYTES: Final = 512  # a row without its image, about
# JPEG bytes do not compress; the checksums find damage that would go unseen in a column that is not compressed.
_COMPRESSED: Final = [
    f"{column.name}.list.element" if pa.types.is_list(column.type) else column.name for column in MANIFEST_SCHEMA
]
_WRITER_OPTIONS: Final[dict[str, Any]] = {
    "compression": dict.fromkeys(_COMPRESSED, "zstd"),
    "use_dictionary": _COMPRESSED,
    "write_statistics": _COMPRESSED,
    "write_page_checksum": True,
}


class Shard(Settings):
    """One Parquet file of a source."""

    file: str = Field(pattern=r"^[0-9a-f]{16}\.parquet$")
    sha256: str
    bytes: int
    rows: int


class Index(Settings):
    """What a source's folder holds.

    Attributes:
        digest: Covers the digest of the source's files and `rules`.
        rules: Digest of all that a row hangs on but the photo: settings and versions. Empty in a store that was written
            before it was kept; such a source is written anew when it changes.
        shards: Its shards, in no order that means anything.
    """

    digest: str
    rules: str = ""
    shards: tuple[Shard, ...]


def read_index(folder: Path) -> Index:
    """Read the index of a source's folder, or raise ImageError when it is missing or damaged."""
    try:
        return Index.model_validate_json((folder / INDEX_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise _damaged(folder / INDEX_FILE) from error


def index_or_none(folder: Path) -> Index | None:
    """Read the index where there is a whole one; while writing, what is damaged is mended by reading the source."""
    try:
        return read_index(folder)
    except ImageError:
        return None


def write_index(folder: Path, index: Index) -> None:
    """Make the shards of an index the content of a source's folder, in one rename."""
    files.write_text(folder / INDEX_FILE, index.model_dump_json(indent=2) + "\n")


def all_there(folder: Path, index: Index) -> bool:
    """Tell whether every shard of an index is there in full, by its size."""
    paths = {folder / shard.file: shard.bytes for shard in index.shards}
    return all(path.is_file() and path.stat().st_size == n_bytes for path, n_bytes in paths.items())


def write_shards(
    folder: Path, rows: Iterator[dict[str, Any]], *, shard_bytes: int, row_group_bytes: int
) -> Iterator[Shard]:
    """Write rows to new shards, which are part of the store only once an index names them.

    Args:
        folder: The source's folder.
        rows: Values by the columns of `SHARD_SCHEMA`.
        shard_bytes: Size at which a shard is closed and the next one begun.
        row_group_bytes: What is held in memory and written at a time.

    Yields:
        Each shard once it is on the disk; none where there are no rows.
    """
    groups = _row_groups(rows, row_group_bytes)
    unfinished = folder / _UNFINISHED
    for first in groups:
        n_rows = 0
        with unfinished.open("wb") as file:
            with pq.ParquetWriter(file, SHARD_SCHEMA, **_WRITER_OPTIONS) as writer:
                group: pa.Table | None = first
                while group is not None:
                    writer.write_table(group)
                    n_rows += group.num_rows
                    group = next(groups, None) if file.tell() < shard_bytes else None
            file.flush()
            os.fsync(file.fileno())
        sha256 = files.file_digest(unfinished)
        path = unfinished.rename(folder / f"{sha256[:16]}.parquet")
        yield Shard(file=path.name, sha256=sha256, bytes=path.stat().st_size, rows=n_rows)


def stored_rows(path: Path, left_out: Collection[str] = (), columns: list[str] | None = None) -> Iterator[Any]:
    """Stream the rows of a shard, one row group in memory at a time.

    Args:
        path: The shard.
        left_out: Names of photos to pass over.
        columns: The columns wanted; None is all, the image as well.

    Yields:
        Values by column.

    Raises:
        ImageError: The shard is missing or damaged.
    """
    with opened(path) as file:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group, columns).to_pylist()
            yield from (row for row in rows if row["name"] not in left_out)


def sweep(folder: Path) -> None:
    """Delete those of our files that no index names: what a killed run left, and what was replaced."""
    index = index_or_none(folder)
    named = {INDEX_FILE, *(shard.file for shard in index.shards)} if index else set()
    for path in folder.iterdir():
        if _OUR_FILES.fullmatch(path.name) and path.name not in named:
            path.unlink()


def remove_source(folder: Path) -> None:
    """Delete a source's files, and its folder if nothing of somebody else is in it."""
    if index_or_none(folder) is None:
        return  # not made by us: the store may have been pointed at a wrong folder
    # Named by nothing first, then deleted: if this is killed in between, the next run goes on.
    write_index(folder, Index(digest="", shards=()))
    sweep(folder)
    (folder / INDEX_FILE).unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a shard; what fails while it is open is an ImageError that says what to delete."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path) from error


def _row_groups(rows: Iterator[dict[str, Any]], n_bytes: int) -> Iterator[pa.Table]:
    group: list[dict[str, Any]] = []
    filled = 0
    for row in rows:
        group.append(row)
        filled += len(row["image"] or b"") + _ROW_BYTES
        if filled >= n_bytes:
            yield pa.Table.from_pylist(group, SHARD_SCHEMA)
            group, filled = [], 0
    if group:
        yield pa.Table.from_pylist(group, SHARD_SCHEMA)


def _damaged(path: Path) -> ImageError:
    return ImageError(
        f"{path} is missing or damaged",
        remedy=f"delete the folder {path.parent}, so that its source is read again",
    )
