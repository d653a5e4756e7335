"""Photos and what is known of them in Parquet shards: written once per state of a source, read as a stream.

A store is a folder with one folder a source. That holds `index.json` and the shards it names, each called after its
content. A source that changed gets new shards beside its old ones: of what is new only, and of what is left of shards
that hold rows which are gone. All of it becomes valid by replacing `index.json`, so a killed run leaves the old state
or the new one; files no index names are swept away by the next run.

In which shard a row lies tells how the source came about. The manifest does not hang on it, nor what `images` yields;
only the order in which that comes.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from gender_pipeline import files
from gender_pipeline.errors import ImageError, examples
from gender_pipeline.images.checks import CHECKS_VERSION, ImageLimits
from gender_pipeline.images.decode import DECODE_VERSION, WORKERS
from gender_pipeline.images.rows import KnownRow, describe_photos, read_known_rows
from gender_pipeline.images.shard_files import (
    INDEX_FILE,
    Index,
    Shard,
    all_there,
    index_or_none,
    opened,
    read_index,
    remove_source,
    stored_rows,
    sweep,
    write_index,
    write_shards,
)
from gender_pipeline.schema import MANIFEST_SCHEMA, Photo, Settings

FORMAT_VERSION: Final = 1  # raise it when shards are laid out differently: all sources are then written anew

_MIB: Final = 2**20
# So many small shards of about one size are made one. A photo is then written again only each time that what it lies
# with has grown eightfold: three times from shards of 128 KiB to such of 64 MiB, and never once its shard is half full.
_MERGED: Final = 8
_ORDER: Final = [(column, "ascending") for column in ("source", "name", "image_id")]


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
        indexes = {path.parent.name: read_index(path.parent) for path in sorted(self.folder.glob(f"*/{INDEX_FILE}"))}
        object.__setattr__(self, "indexes", indexes)

    @property
    def digests(self) -> dict[str, str]:
        """Digest of each source: equal if and only if its photos and the settings they were checked by are.

        All rows are read for it, without the images.
        """
        return {source: self._digest(source, index) for source, index in self.indexes.items()}

    @property
    def digest(self) -> str:
        """One digest over all sources, 64 hex digits."""
        return files.text_digest(json.dumps(self.digests, sort_keys=True))

    def manifest(self) -> pd.DataFrame:
        """Read all columns but `image`.

        Returns:
            One row a photo with the columns of `schema.MANIFEST_SCHEMA`, by source and then by name in the order of
            their characters: the same table whether the store was written at once or grew.

        Raises:
            ImageError: If a shard is missing or damaged.
        """
        tables = [MANIFEST_SCHEMA.empty_table()]
        for path in self._paths():
            with opened(path) as file:
                tables.append(file.read(MANIFEST_SCHEMA.names))
        manifest: pd.DataFrame = pa.concat_tables(tables).sort_by(_ORDER).to_pandas()
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
        hits: list[tuple[Path, list[tuple[int, list[int]]]]] = []
        for path in self._paths():
            with opened(path) as file:
                hits.append((path, [(group, _claim(file, group, missing)) for group in range(file.num_row_groups)]))
        if missing:
            raise ImageError(
                f"{len(missing)} photos are not in the image shards of {self.folder}",
                received=f"the ids {examples(sorted(missing))}",
                remedy="make the shards and the table the ids come from in the same run",
            )
        for path, groups in hits:
            with opened(path) as file:
                for group, rows in groups:
                    yield from _photos(file, group, rows)

    def _paths(self) -> list[Path]:
        return [path for source, index in self.indexes.items() for path in _shard_paths(self.folder / source, index)]

    def _digest(self, source: str, index: Index) -> str:
        rows = [row.digest for path in _shard_paths(self.folder / source, index) for _, row in read_known_rows(path)]
        return sha256(b"".join([index.rules.encode(), *sorted(rows)])).hexdigest()


def update_shards(folder: Path, sources: Mapping[str, SourcePhotos], settings: ShardSettings) -> ShardStore:
    """Bring a folder of shards to the state of the sources.

    A source whose digest and settings are those of its index is not read. One that changed is read as a stream:
    photos that are stored under their name with equal bytes are not decoded again, rows that are stored are not written
    again, and shards are rewritten only where rows in them are gone or have changed, or where many are small. With
    other settings all of a source is made anew. A source that is no longer given is removed.

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
            _update_source(folder / source, digest, photos.photos(), settings)
        sweep(folder / source)
    for stale in folder.glob("*"):
        if stale.name not in sources:
            remove_source(stale)
    return ShardStore(folder)


def _digest(source: SourcePhotos, settings: ShardSettings) -> str:
    return files.text_digest(json.dumps([*_rules(settings), source.digest]))


def _rules(settings: ShardSettings) -> list[Any]:
    """List all that a row hangs on but the photo."""
    versions = [FORMAT_VERSION, CHECKS_VERSION, DECODE_VERSION]
    return [versions, settings.model_dump(exclude={"workers"})]


def _is_current(folder: Path, digest: str) -> bool:
    index = index_or_none(folder)
    return index is not None and index.digest == digest and all_there(folder, index)


def _update_source(folder: Path, digest: str, photos: Iterator[Photo], settings: ShardSettings) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rules = files.text_digest(json.dumps(_rules(settings)))
    index = _reusable(folder, rules)
    known = _known_rows(folder, index)
    try:
        described = describe_photos(folder.name, photos, settings.limits, workers=settings.workers, known=known)
        gone = dict(known)  # what has not come yet; after the last photo, what will not come
        added = tuple(_write(folder, _not_stored(described, gone), settings))
        shards = _tidied(folder, (*(index.shards if known else ()), *added), gone, settings)
        write_index(folder, Index(digest=digest, rules=rules, shards=shards))
    finally:
        sweep(folder)


def _not_stored(
    described: Iterator[tuple[dict[str, Any], bool]], waiting: dict[str, KnownRow]
) -> Iterator[dict[str, Any]]:
    """Yield the rows that are to be written, and take those that are stored out of what is waited for."""
    for row, is_stored in described:
        # A second row of one name is written too, as in a source that is written at once.
        if not is_stored or waiting.pop(row["name"], None) is None:
            yield row


def _reusable(folder: Path, rules: str) -> Index:
    """Return the index whose rows are still what would be made of their photos now; one without shards if none are."""
    index = index_or_none(folder)
    usable = index is not None and index.rules == rules and all_there(folder, index)
    return index if index is not None and usable else Index(digest="", shards=())


def _known_rows(folder: Path, index: Index) -> dict[str, KnownRow]:
    """Return what is stored by name; nothing where it cannot be relied on, so that all of the source is made anew."""
    try:
        known = dict(row for path in _shard_paths(folder, index) for row in read_known_rows(path))
    except ImageError:  # a damaged shard
        return {}
    # Two rows of one name cannot be told apart when they come again.
    return known if len(known) == sum(shard.rows for shard in index.shards) else {}


def _tidied(
    folder: Path, shards: tuple[Shard, ...], gone: Mapping[str, KnownRow], settings: ShardSettings
) -> tuple[Shard, ...]:
    """Write those shards again that hold rows which are gone, without these, and those that are too many."""
    worn = {row.shard for row in gone.values()}
    rewritten = [shard for shard in shards if shard.file in worn | _crowd(shards, settings.shard_mib * _MIB)]
    rows = (row for shard in rewritten for row in stored_rows(folder / shard.file, gone if shard.file in worn else ()))
    return (*(shard for shard in shards if shard not in rewritten), *_write(folder, rows, settings))


def _crowd(shards: Sequence[Shard], full_bytes: int) -> set[str]:
    """Name the shards under half of the full size of which many are of about one size, within a factor of eight."""
    sizes = defaultdict(list)
    for shard in shards:
        if shard.bytes < full_bytes / 2:
            sizes[shard.bytes.bit_length() // 3].append(shard.file)
    return {name for names in sizes.values() if len(names) >= _MERGED for name in names}


def _write(folder: Path, rows: Iterator[dict[str, Any]], settings: ShardSettings) -> Iterator[Shard]:
    return write_shards(
        folder, rows, shard_bytes=settings.shard_mib * _MIB, row_group_bytes=settings.row_group_mib * _MIB
    )


def _shard_paths(folder: Path, index: Index) -> list[Path]:
    return [folder / shard.file for shard in index.shards]


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
