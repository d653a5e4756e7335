"""From photos to rows of a shard: what the reader says, what the checks say, and what a store knows of it already."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from tqdm import tqdm

from gender_pipeline.images.checks import ImageFacts, ImageLimits, inspect_image
from gender_pipeline.images.decode import map_ahead
from gender_pipeline.images.shard_files import stored_rows
from gender_pipeline.schema import MANIFEST_SCHEMA, Photo

_CHUNK_PHOTOS: Final = 64  # one task of a worker: large enough that handing it over costs nothing
_CHUNK_BYTES: Final = 2**20
_FACTS: Final = tuple(ImageFacts.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class KnownRow:
    """What is kept in memory of a stored row: a few hundred bytes, never the photo's.

    Attributes:
        shard: File that holds it.
        image_id: sha256 of the photo's bytes.
        digest: sha256 over all columns but the image.
        facts: What the checks found; None where the photo was not decoded.
    """

    shard: str
    image_id: str
    digest: bytes
    facts: ImageFacts | None


def read_known_rows(path: Path) -> Iterator[tuple[str, KnownRow]]:
    """Yield the name of each photo of a shard and what is known of it.

    Raises:
        ImageError: The shard is missing or damaged.
    """
    for row in stored_rows(path, columns=MANIFEST_SCHEMA.names):
        facts = ImageFacts(**{name: row[name] for name in _FACTS}) if row["phash"] else None
        yield row["name"], KnownRow(path.name, row["image_id"], row_digest(row), facts)


def row_digest(row: Mapping[str, Any]) -> bytes:
    """Return the sha256 over a stored row's columns but the image."""
    return hashlib.sha256(repr([row[name] for name in MANIFEST_SCHEMA.names]).encode()).digest()


def describe_photos(
    source: str, photos: Iterable[Photo], limits: ImageLimits, *, workers: int, known: Mapping[str, KnownRow]
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Make rows of photos, in threads and in the order given.

    Args:
        source: Name of the source.
        photos: What its reader gives.
        limits: What a usable photo must keep to.
        workers: Threads that check photos.
        known: Stored rows by name; a photo of the same name and bytes as one of them is not decoded again.

    Yields:
        A row by the columns of `SHARD_SCHEMA`, and whether an equal one is stored.
    """

    def describe(chunk: list[Photo]) -> list[tuple[dict[str, Any], bool]]:
        rows = [_row(source, photo, limits, known) for photo in chunk]
        # Nothing to compare with: the first writing of a source need not pay for digests.
        digests = _digests_as_stored(rows) if known else [b""] * len(rows)
        pairs = zip(rows, digests, strict=True)
        return [(row, row["name"] in known and known[row["name"]].digest == digest) for row, digest in pairs]

    with tqdm(desc=source, unit=" photos", disable=None) as progress:
        for described in map_ahead(describe, _chunks(photos), workers=workers):
            progress.update(len(described))
            yield from described


def _digests_as_stored(rows: list[dict[str, Any]]) -> list[bytes]:
    # Through the table's types: what is float32 in a shard must not be compared as float64.
    return [row_digest(row) for row in pa.Table.from_pylist(rows, MANIFEST_SCHEMA).to_pylist()]


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


def _row(source: str, photo: Photo, limits: ImageLimits, known: Mapping[str, KnownRow]) -> dict[str, Any]:
    name = _utf8(photo.name)
    # A row without bytes still needs an id of its own; bytes beyond the limit stay in the archive.
    image_id = hashlib.sha256(photo.data or _utf8(f"{source}/{photo.name}").encode()).hexdigest()
    return {
        "image_id": image_id,
        "source": source,
        "name": name,
        "subject_id": _utf8(photo.subject_id),
        "label": photo.label and _utf8(photo.label),
        "age_years": photo.age_years,
        "attributes": json.dumps(dict(photo.attributes), sort_keys=True),
        "box": photo.box,
        "landmarks": photo.landmarks,
        "official_split": photo.official_split,
        "publishable": photo.publishable,
        "image": photo.data if 0 < len(photo.data) <= limits.max_bytes else None,
        **vars(_facts(photo, image_id, limits, known.get(name))),
    }


def _facts(photo: Photo, image_id: str, limits: ImageLimits, known: KnownRow | None) -> ImageFacts:
    if photo.problem:
        return ImageFacts(problem=photo.problem)
    if known and known.facts and known.image_id == image_id:
        return known.facts
    return inspect_image(photo.data, photo.name, limits)


def _utf8(text: str) -> str:
    # Archives hold file names in any encoding; Python reads those as lone surrogates, which no table can hold.
    return text.encode(errors="backslashreplace").decode()
