"""Photos and what is known of them in Parquet shards: written once per state of a source, read as a stream.

A store is a folder with one folder a source. That holds `index.json` and the shards it names, each called after its
content. A source is rewritten beside its old shards and becomes valid by replacing `index.json`, so a killed run
leaves the old state or the new one; files no index names are swept away by the next run.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError
from tqdm import tqdm

from gender_pipeline import files
from gender_pipeline.errors import ImageError, examples
from gender_pipeline.images.checks import CHECKS_VERSION, ImageFacts, ImageLimits, inspect_image
from gender_pipeline.images.decode import DECODE_VERSION, WORKERS, map_ahead
from gender_pipeline.schema import MANIFEST_SCHEMA, SHARD_SCHEMA, Photo, Settings

FORMAT_VERSION: Final = 1  # raise it when shards are laid out differently: all sources are then written anew

_MIB: Final = 2**20
_INDEX: Final = "index.json"
_UNFINISHED: Final = ".unfinished.parquet"
_OUR_FILES: Final = re.compile(r"index\.json|\.index\.json\..*|[0-9a-f]{16}\.parquet|\.unfinished\.parquet")
_CHUNK_PHOTOS: Final = 64  # one task of a worker: large enough that handing it over costs nothing
_CHUNK_BYTES: Final = _MIB
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


class ShardSettings(Settings):
    """How photos are checked and stored.

    Attributes:
        shard_mib: Size at which a shard is closed and the next one begun, in MiB.
        row_group_mib: Photos read or written at a time, in MiB of their bytes; this bounds the memory.
        workers: Threads that check photos.
        limits: What a usable photo must keep to.
    """

    shard_mib: int = Field(default=128, ge=1, le=1024)
    row_group_mib: int = Field(default=4, ge=1, le=64)
    workers: int = Field(default=WORKERS, ge=1, le=64)
    limits: ImageLimits = ImageLimits()


@dataclass(frozen=True)
class SourcePhotos:
    """A source to store.

    Attributes:
        digest: Changes whenever the photos would; compared before anything is read.
        photos: Starts to read them; not called for a source whose digest is stored already.
    """

    digest: str
    photos: Callable[[], Iterator[Photo]]


class Shard(Settings):
    """One Parquet file of a source."""

    file: str = Field(pattern=r"^[0-9a-f]{16}\.parquet$")
    sha256: str
    bytes: int
    rows: int


class Index(Settings):
    """What a source's folder holds; `digest` covers the source's own digest, the settings and the versions here."""

    digest: str
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class ShardStore:
    """Read handle of a folder of shards, in the state it had when the handle was made.

    Attributes:
        folder: Where `update_shards` wrote.
        indexes: Index of each source, in the order of their names.

    Raises:
        ImageError: If an index is damaged.
    """

    folder: Path
    indexes: Mapping[str, Index] = field(init=False)

    def __post_init__(self) -> None:
        indexes = {path.parent.name: _read_index(path.parent) for path in sorted(self.folder.glob(f"*/{_INDEX}"))}
        object.__setattr__(self, "indexes", indexes)

    @property
    def digests(self) -> dict[str, str]:
        """Digest of each source: equal if and only if its photos and the settings they were checked by are."""
        return {source: index.digest for source, index in self.indexes.items()}

    @property
    def digest(self) -> str:
        """One digest over all sources, 64 hex digits."""
        return files.text_digest(json.dumps(self.digests, sort_keys=True))

    def manifest(self) -> pd.DataFrame:
        """Read all columns but `image`.

        Returns:
            One row a photo with the columns of `schema.MANIFEST_SCHEMA`, in stored order: sources by name, and the
            photos of a source as its reader gave them.

        Raises:
            ImageError: If a shard is missing or damaged.
        """
        tables = [MANIFEST_SCHEMA.empty_table()]
        for path in self._paths():
            with _opened(path) as file:
                tables.append(file.read(MANIFEST_SCHEMA.names))
        manifest: pd.DataFrame = pa.concat_tables(tables).to_pandas()
        return manifest

    def images(self, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Stream the bytes of photos, one row group in memory at a time.

        Args:
            image_ids: The photos wanted; an id given or stored twice is still yielded once.

        Yields:
            Image id and encoded bytes, in stored order, whatever the order asked for.

        Raises:
            ImageError: Before the first photo if ids are unknown; later if a shard is damaged or a photo has no bytes.
        """
        missing = set(image_ids)
        hits: dict[Path, list[tuple[int, list[int]]]] = {}
        for path in self._paths():
            with _opened(path) as file:
                hits[path] = [(group, _claim(file, group, missing)) for group in range(file.num_row_groups)]
        if missing:
            raise ImageError(
                f"{len(missing)} photos are not in the image shards of {self.folder}",
                received=f"the ids {examples(sorted(missing))}",
                remedy="make the shards and the table the ids come from in the same run",
            )
        for path, groups in hits.items():
            with _opened(path) as file:
                for group, rows in groups:
                    yield from _photos(file, group, rows)

    def _paths(self) -> list[Path]:
        return [self.folder / source / shard.file for source, index in self.indexes.items() for shard in index.shards]


def update_shards(folder: Path, sources: Mapping[str, SourcePhotos], settings: ShardSettings) -> ShardStore:
    """Bring a folder of shards to the state of the sources.

    A source whose digest and settings are those of its index is not read; one that changed is read as a stream and
    replaces its own shards; one that is no longer given is removed.

    Args:
        folder: The store; made if it is not there.
        sources: What to store, by the name of the source.
        settings: How photos are checked and stored.

    Returns:
        A read handle of the new state.

    Raises:
        ImageError: If a source's name cannot be a folder's name.
    """
    for source, photos in sources.items():
        if not re.fullmatch(r"\w[\w.-]*", source):
            raise ImageError(
                "a source cannot be stored", expected="a name of letters and digits", received=repr(source)
            )
        digest = _digest(photos, settings)
        if not _is_current(folder / source, digest):
            _replace_source(folder / source, digest, photos.photos(), settings)
        _sweep(folder / source)
    for stale in folder.glob("*"):
        if stale.name not in sources:
            _remove_source(stale)
    return ShardStore(folder)


def _digest(source: SourcePhotos, settings: ShardSettings) -> str:
    versions = [FORMAT_VERSION, CHECKS_VERSION, DECODE_VERSION]
    return files.text_digest(json.dumps([versions, source.digest, settings.model_dump(exclude={"workers"})]))


def _is_current(folder: Path, digest: str) -> bool:
    index = _index_or_none(folder)
    if index is None or index.digest != digest:
        return False
    paths = {folder / shard.file: shard.bytes for shard in index.shards}
    return all(path.is_file() and path.stat().st_size == n_bytes for path, n_bytes in paths.items())


def _read_index(folder: Path) -> Index:
    try:
        return Index.model_validate_json((folder / _INDEX).read_bytes())
    except (OSError, ValidationError) as error:
        raise _damaged(folder / _INDEX) from error


def _write_index(folder: Path, index: Index) -> None:
    files.write_text(folder / _INDEX, index.model_dump_json(indent=2) + "\n")


def _index_or_none(folder: Path) -> Index | None:
    try:
        return _read_index(folder)
    except ImageError:  # while writing, what is damaged or missing is mended by reading the source again
        return None


def _replace_source(folder: Path, digest: str, photos: Iterator[Photo], settings: ShardSettings) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        shards = tuple(_write_shards(folder, _rows(folder.name, photos, settings), settings))
        _write_index(folder, Index(digest=digest, shards=shards))
    finally:
        _sweep(folder)


def _rows(source: str, photos: Iterator[Photo], settings: ShardSettings) -> Iterator[dict[str, Any]]:
    def describe(chunk: list[Photo]) -> list[dict[str, Any]]:
        return [_row(source, photo, settings.limits) for photo in chunk]

    with tqdm(desc=source, unit=" photos", disable=None) as progress:
        for rows in map_ahead(describe, _chunks(photos), workers=settings.workers):
            progress.update(len(rows))
            yield from rows


def _chunks(photos: Iterable[Photo]) -> Iterator[list[Photo]]:
    chunk: list[Photo] = []
    n_bytes = 0
    for photo in photos:
        chunk.append(photo)
        n_bytes += len(photo.data)
        if len(chunk) == _CHUNK_PHOTOS or n_bytes >= _CHUNK_BYTES:
            yield chunk
            chunk, n_bytes = [], 0
    if chunk:
        yield chunk


def _row(source: str, photo: Photo, limits: ImageLimits) -> dict[str, Any]:
    facts = ImageFacts(problem=photo.problem) if photo.problem else inspect_image(photo.data, photo.name, limits)
    # A row without bytes still needs an id of its own; bytes beyond the limit stay in the archive.
    content = photo.data or _utf8(f"{source}/{photo.name}").encode()
    return {
        "image_id": hashlib.sha256(content).hexdigest(),
        "source": source,
        "name": _utf8(photo.name),
        "subject_id": _utf8(photo.subject_id),
        "label": photo.label and _utf8(photo.label),
        "age_years": photo.age_years,
        "attributes": json.dumps(dict(photo.attributes), sort_keys=True),
        "box": photo.box,
        "landmarks": photo.landmarks,
        "official_split": photo.official_split,
        "publishable": photo.publishable,
        "image": photo.data if 0 < len(photo.data) <= limits.max_bytes else None,
        **vars(facts),
    }


def _utf8(text: str) -> str:
    # Archives hold file names in any encoding; Python reads those as lone surrogates, which no table can hold.
    return text.encode(errors="backslashreplace").decode()


def _write_shards(folder: Path, rows: Iterator[dict[str, Any]], settings: ShardSettings) -> Iterator[Shard]:
    groups = _row_groups(rows, settings.row_group_mib * _MIB)
    unfinished = folder / _UNFINISHED
    for first in groups:
        n_rows = 0
        with unfinished.open("wb") as file:
            with pq.ParquetWriter(file, SHARD_SCHEMA, **_WRITER_OPTIONS) as writer:
                group: pa.Table | None = first
                while group is not None:
                    writer.write_table(group)
                    n_rows += group.num_rows
                    group = next(groups, None) if file.tell() < settings.shard_mib * _MIB else None
            file.flush()
            os.fsync(file.fileno())
        sha256 = files.file_digest(unfinished)
        path = unfinished.rename(folder / f"{sha256[:16]}.parquet")
        yield Shard(file=path.name, sha256=sha256, bytes=path.stat().st_size, rows=n_rows)


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


def _sweep(folder: Path) -> None:
    index = _index_or_none(folder)
    named = {_INDEX, *(shard.file for shard in index.shards)} if index else set()
    for path in folder.iterdir():
        if _OUR_FILES.fullmatch(path.name) and path.name not in named:
            path.unlink()


def _remove_source(folder: Path) -> None:
    if _index_or_none(folder) is None:
        return  # not made by us: the store may have been pointed at a wrong folder
    # Named by nothing first, then deleted: if this is killed in between, the next run goes on.
    _write_index(folder, Index(digest="", shards=()))
    _sweep(folder)
    (folder / _INDEX).unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> ImageError:
    return ImageError(
        f"{path} is missing or damaged",
        remedy=f"delete the folder {path.parent}, so that its source is read again",
    )


def _claim(file: pq.ParquetFile, group: int, missing: set[str]) -> list[int]:
    """Find the rows of a row group whose ids are missing still, and take these ids out of the set."""
    rows = []
    for row, image_id in enumerate(file.read_row_group(group, ["image_id"])["image_id"].to_pylist()):
        if image_id in missing:
            missing.remove(image_id)
            rows.append(row)
    return rows


def _photos(file: pq.ParquetFile, group: int, rows: list[int]) -> Iterator[tuple[str, bytes]]:
    if not rows:
        return
    wanted = file.read_row_group(group, ["image_id", "image"]).take(rows)
    for image_id, data in zip(wanted["image_id"].to_pylist(), wanted["image"], strict=True):
        if not data.is_valid:
            raise ImageError(
                f"photo {image_id} has no bytes", remedy="ask only for photos whose row in the manifest has no problem"
            )
        yield image_id, data.as_py()
