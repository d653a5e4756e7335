"""The frozen part of a network is computed once a photo: its outputs, kept on disk by content and memory-mapped."""

import hashlib
import io
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gender_pipeline.errors import TrainingError, examples
from gender_pipeline.files import file_digest, text_digest, write_bytes
from gender_pipeline.images.decode import DECODE_VERSION, Framing, decode_batches
from gender_pipeline.images.views import PLAIN, View
from gender_pipeline.zoo import weights_digest

if TYPE_CHECKING:
    import keras

COMPUTE_BATCH: Final = 64  # one shape for every batch: one trace, and no result hangs on how many photos are missing
PART_BYTES: Final = 32 * 2**20  # what a killed run loses at most of a view
WAITING_BYTES: Final = 256 * 2**20  # what waits to be written at most; with many views the parts are smaller
_FORMAT: Final = 2  # raise it when the layout of a part changes
_log = logging.getLogger(__name__)

Parts: TypeAlias = dict[Path, NDArray[np.void]]
_Item = TypeVar("_Item")


class ImageSource(Protocol):
    """Where encoded photos come from; `images.ShardStore` is one."""

    def images(self, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (image id, encoded bytes) of the wanted photos, in any order."""


@dataclass(frozen=True)
class CachedFeatures:
    """Features of N photos in K views, in the order they were asked for; nothing is read before `rows`.

    Attributes:
        parts: Memory-mapped parts, each an array of records (`image_id`, `features`).
        part_of: (K, N) int64, the part of each photo's view.
        row_of: (K, N) int64, its row there.
    """

    parts: tuple[NDArray[np.void], ...]
    part_of: NDArray[np.int64]
    row_of: NDArray[np.int64]

    def __len__(self) -> int:
        """Return N."""
        return int(self.part_of.shape[1])

    @property
    def n_views(self) -> int:
        """K."""
        return int(self.part_of.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one photo's features."""
        return self.parts[0].dtype["features"].shape

    def rows(self, positions: NDArray[np.integer], views: NDArray[np.integer] | int = 0) -> NDArray[np.float32]:
        """Gather the features of some photos.

        Args:
            positions: (n,) integers in [0, N), in any order.
            views: (n,) integers in [0, K), the view of each, or one for all.

        Returns:
            (n, *shape) float32 in that order.
        """
        gathered = np.empty((len(positions), *self.shape), np.float32)
        part_of, row_of = self.part_of[views, positions], self.row_of[views, positions]
        for part in np.unique(part_of):
            here = part_of == part
            gathered[here] = _to_float32(self.parts[part]["features"][row_of[here]])
        return gathered


@dataclass(frozen=True)
class FeatureCache:
    """Features on disk, by what they were computed with.

    `folder/<key>/part-<sha256>.npy` is an array of records: `image_id` S64 and `features`, which are float16, bfloat16
    (as uint16), or uint8 for pixels. The key is a digest of everything the features depend on but the photo, and a part
    is named by its own content, so that damage shows and processes that write at the same time cannot disturb each
    other. What has not been used for the longest is deleted when room is needed; on POSIX systems a process that has
    such a part mapped keeps it.

    Attributes:
        folder: Root of the cache; safe to delete at any time.
        max_bytes: What the cache may hold.
    """

    folder: Path
    max_bytes: int = 20 * 2**30

    def features(
        self,
        prefix: "keras.Model",
        image_size_px: int,
        image_ids: Sequence[str],
        images: ImageSource,
        *,
        views: Sequence[View] = (PLAIN,),
        framing: Framing = "square",
        dtype: Literal["float16", "bfloat16"] = "float16",
    ) -> CachedFeatures:
        """Give the outputs of a network for photos; those not in the cache are computed and added.

        Args:
            prefix: From raw pixels (N, image_size_px, image_size_px, 3) float32 in [0, 255] to features (N, ...). A
                network of nothing but its input gives the pixels, which are kept as uint8.
            image_size_px: Side of the decoded photos.
            image_ids: sha256 of each photo's bytes, 64 hex digits; repeats are allowed.
            images: Gives the bytes of the missing photos.
            views: The K views of each photo; it is decoded once for all of them.
            framing: Which part of a photo is decoded.
            dtype: What features are stored in.

        Raises:
            ImageError: A photo cannot be decoded; the message starts with its id.
            TrainingError: A photo is missing in `images`, a feature is not finite in `dtype`, or the features of these
                photos are more than `max_bytes`.
        """
        pixels_only = len(prefix.layers) == 1
        record = _record_dtype("uint8" if pixels_only else dtype, prefix.output.shape[1:])
        facts = f"{_FORMAT} {weights_digest(prefix)} {image_size_px} {framing} {DECODE_VERSION} {record.descr}"
        folders = [self.folder / text_digest(f"{facts} {view.key}") for view in views]
        wanted = list(dict.fromkeys(image_ids))
        stored = [_load_parts(folder, record, {}) for folder in folders]
        missing = [set(wanted).difference(*map(_ids, parts.values())) for parts in stored]
        if any(missing):
            self._make_room(len(wanted) * len(views), sum(map(len, missing)), record, in_use=_paths(stored, wanted))
            network = None if pixels_only else prefix
            absent = [image_id for image_id in wanted if any(image_id in ids for ids in missing)]
            photos = decode_batches(_once(images.images(absent), absent), image_size_px, COMPUTE_BATCH, framing=framing)
            part_bytes = min(PART_BYTES, WAITING_BYTES // len(views))
            writers = [_PartWriter(folder, record, part_bytes) for folder in folders]
            _compute(network, photos, views, missing, writers=writers, dtype=dtype)
            stored = [_load_parts(folder, record, parts) for folder, parts in zip(folders, stored, strict=True)]
        return _locate(stored, image_ids)

    def _make_room(self, n_records: int, n_new: int, record: np.dtype[np.void], *, in_use: set[Path]) -> None:
        """Delete what was not used for the longest until the new records fit."""
        if n_records * record.itemsize > self.max_bytes:
            raise TrainingError(
                "the feature cache is too small for these photos",
                expected=f"at most {self.max_bytes / 1e9:.1f} GB",
                received=f"{n_records} records of {record.itemsize} bytes, {n_records * record.itemsize / 1e9:.1f} GB",
                remedy="fewer views or a deeper cut in the recipe, or a larger max_bytes (catalog: feature_cache)",
            )
        parts = {path: path.stat() for path in self.folder.glob("*/part-*.npy")}
        surplus = sum(stat.st_size for stat in parts.values()) + n_new * record.itemsize - self.max_bytes
        for path in sorted(parts, key=lambda path: parts[path].st_mtime_ns):
            if surplus > 0 and path not in in_use:
                path.unlink(missing_ok=True)
                surplus -= parts[path].st_size
                _log.info("feature cache: deleted %s to make room", path.name)


def run_padded(network: "keras.Model", batch: NDArray[Any]) -> NDArray[np.float32]:
    """Run a network on at most `COMPUTE_BATCH` rows, filled up to that many.

    Args:
        network: Any network of one input and one output.
        batch: (n, ...) with n <= `COMPUTE_BATCH`.

    Returns:
        (n, ...) float32.
    """
    padding = [(0, COMPUTE_BATCH - len(batch))] + [(0, 0)] * (batch.ndim - 1)
    padded = np.pad(batch, padding).astype(np.float32)
    return np.asarray(network.predict_on_batch(padded), np.float32)[: len(batch)]


def _record_dtype(kind: str, shape: tuple[int, ...]) -> np.dtype[np.void]:
    stored = {"uint8": "u1", "float16": "<f2", "bfloat16": "<u2"}[kind]
    return np.dtype([("image_id", "S64"), ("features", stored, tuple(shape))])


def _ids(part: NDArray[np.void]) -> list[str]:
    return [image_id.decode() for image_id in part["image_id"].tolist()]


def _paths(stored: Sequence[Parts], wanted: Sequence[str]) -> set[Path]:
    """Return the parts that hold a wanted photo."""
    return {path for parts in stored for path, part in parts.items() if not set(wanted).isdisjoint(_ids(part))}


def _locate(stored: Sequence[Parts], image_ids: Sequence[str]) -> CachedFeatures:
    """Find each photo's record in each view's parts."""
    arrays: list[NDArray[np.void]] = []
    places = []
    for parts in stored:
        place: dict[str, tuple[int, int]] = {}
        for number, part in enumerate(parts.values(), len(arrays)):
            place |= {image_id: (number, row) for row, image_id in enumerate(_ids(part))}
        _check_complete(place, image_ids)
        places.append(np.array([place[image_id] for image_id in image_ids], np.int64).reshape(-1, 2))
        arrays.extend(parts.values())
    table = np.stack(places)
    return CachedFeatures(tuple(arrays), table[:, :, 0], table[:, :, 1])


def _check_complete(place: Mapping[str, object], image_ids: Sequence[str]) -> None:
    absent = [image_id for image_id in image_ids if image_id not in place]
    if absent:
        raise TrainingError(
            f"{len(absent)} photos have no features",
            expected="an image for every row of the split manifest",
            received=f"none for {examples(absent)}",
            remedy="run the manifest chapter again",
        )


def _load_parts(folder: Path, record: np.dtype[np.void], known: Parts) -> Parts:
    """Map the parts of a folder that are not mapped yet; a digest costs 0.7 s a GB, so each is made once a call."""
    paths = [path for path in sorted(folder.glob("part-*.npy")) if path not in known]
    loaded = {path: _load_part(path, record) for path in paths}
    return known | {path: part for path, part in loaded.items() if part is not None}


def _load_part(path: Path, record: np.dtype[np.void]) -> NDArray[np.void] | None:
    """Map a part into memory; one that is damaged is deleted, so that its photos are computed again."""
    try:
        if path.name != f"part-{file_digest(path)}.npy":
            raise ValueError("its content is not what its name says")
        part: NDArray[np.void] = np.load(path, mmap_mode="r", allow_pickle=False)
        if part.dtype != record or part.ndim != 1:
            raise ValueError(f"expected records of {record}, received {part.dtype} of shape {part.shape}")
        os.utime(path)  # it was used just now: others are deleted first
        return part
    except FileNotFoundError:  # another process has just thrown it away
        return None
    except OSError:  # a disk that cannot be read says nothing of the part
        raise
    except Exception as error:  # what numpy raises on a hostile header is an open set, tokenize.TokenError among it
        _log.warning("feature cache: part %s is damaged (%s); it is computed again", path.name, error)
        path.unlink(missing_ok=True)
        return None


def _compute(
    prefix: "keras.Model | None",
    batches: Iterable[tuple[list[str], NDArray[np.uint8]]],
    views: Sequence[View],
    missing: Sequence[set[str]],
    *,
    writers: "Sequence[_PartWriter]",
    dtype: str,
) -> None:
    """Compute the missing views of decoded photos, batch by batch; the pixels themselves where there is no prefix."""
    if prefix is not None:
        no_xla(prefix)
    with tqdm(total=sum(map(len, missing)), desc="features", unit="photo", disable=None) as bar:
        for number, ids, pixels in _one_ahead(_missing_views(batches, views, missing)):
            features = pixels if prefix is None else _stored(run_padded(prefix, pixels), ids, dtype)
            writers[number].add(ids, features)
            bar.update(len(ids))
    for writer in writers:
        writer.flush()


def _missing_views(
    batches: Iterable[tuple[list[str], NDArray[np.uint8]]], views: Sequence[View], missing: Sequence[set[str]]
) -> Iterator[tuple[int, list[str], NDArray[np.uint8]]]:
    """Yield a view's number, and the ids and pixels of those photos of a batch that it is missing for."""
    for ids, pixels in batches:
        for number, (view, wanted) in enumerate(zip(views, missing, strict=True)):
            here = [position for position, image_id in enumerate(ids) if image_id in wanted]
            if here:
                seen = np.stack([view.apply(ids[position], pixels[position]) for position in here])
                yield number, [ids[position] for position in here], seen


def _one_ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """Make the next item in a thread while the consumer works on this one: decoding overlaps the network."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, items, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, items, None)
            yield item


def no_xla(network: "keras.Model") -> None:
    """Have TensorFlow run an uncompiled network without XLA, which is slower on the CPU and rounds otherwise."""
    import keras

    if keras.backend.backend() == "tensorflow":
        network.compile(jit_compile=False)


def _once(photos: Iterable[tuple[str, bytes]], image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Leave out photos that were not wanted or have come already."""
    left = set(image_ids)
    for image_id, data in photos:
        if image_id in left:
            left.remove(image_id)
            yield image_id, data


def _stored(features: NDArray[np.float32], ids: Sequence[str], dtype: str) -> NDArray[np.float16] | NDArray[np.uint16]:
    """Round features to what is stored: float16, or bfloat16 as its 16 bits."""
    with np.errstate(over="ignore"):
        small = _bfloat16_bits(features) if dtype == "bfloat16" else features.astype(np.float16)
    bad = ~np.isfinite(_to_float32(small)).reshape(len(small), -1).all(axis=1)
    if bad.any():
        raise TrainingError(
            f"features of {int(bad.sum())} photos cannot be cached",
            expected="finite values of at most 65504" if dtype == "float16" else "finite values",
            received=f"up to {np.abs(features[bad]).max()} for {examples(np.array(ids)[bad])}",
            remedy="set feature_dtype to bfloat16 in the recipe, or cut the network at another block",
        )
    return small


def _bfloat16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the upper half of each float32, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    finite = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    # Adding would carry a NaN's bits over into a number.
    return np.where(np.isnan(values), np.uint16(0x7FC0), finite)


def _to_float32(stored: NDArray[Any]) -> NDArray[np.float32]:
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32)


class _PartWriter:
    """Writes records in parts of about `part_bytes`, each in one rename as soon as it is full."""

    def __init__(self, folder: Path, record: np.dtype[np.void], part_bytes: int) -> None:
        self.folder, self.record, self.part_bytes = folder, record, part_bytes
        self.waiting: list[NDArray[np.void]] = []

    def add(self, ids: Sequence[str], features: NDArray[Any]) -> None:
        records = np.empty(len(ids), self.record)
        records["image_id"], records["features"] = ids, features
        self.waiting.append(records)
        if sum(records.nbytes for records in self.waiting) >= self.part_bytes:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            buffer = io.BytesIO()
            np.save(buffer, np.concatenate(self.waiting), allow_pickle=False)
            data = buffer.getvalue()
            write_bytes(self.folder / f"part-{hashlib.sha256(data).hexdigest()}.npy", data)
            self.waiting.clear()
