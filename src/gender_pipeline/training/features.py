"""The frozen part of a network is computed once a photo: its outputs, kept on disk by content and memory-mapped."""

import hashlib
import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gender_pipeline.errors import TrainingError, examples
from gender_pipeline.files import file_digest, text_digest, write_bytes
from gender_pipeline.images.decode import DECODE_VERSION, decode_batches
from gender_pipeline.zoo import weights_digest

if TYPE_CHECKING:
    import keras

COMPUTE_BATCH: Final = 64  # one shape for every batch: one trace, and no result hangs on how many photos are missing
PART_BYTES: Final = 32 * 2**20  # what a killed run loses at most
_FORMAT: Final = 1  # raise it when the layout of a part changes
_log = logging.getLogger(__name__)


class ImageSource(Protocol):
    """Where encoded photos come from; `images.ShardStore` is one."""

    def images(self, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (image id, encoded bytes) of the wanted photos, in any order."""


@dataclass(frozen=True)
class CachedFeatures:
    """Features of N photos in the order they were asked for; nothing is read before `rows`.

    Attributes:
        parts: Memory-mapped parts, each an array of records (`image_id`, `features`).
        part_of: (N,) int64, the part of each photo.
        row_of: (N,) int64, its row there.
    """

    parts: tuple[NDArray[np.void], ...]
    part_of: NDArray[np.int64]
    row_of: NDArray[np.int64]

    def __len__(self) -> int:
        """Return N."""
        return len(self.part_of)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one photo's features."""
        return self.parts[0].dtype["features"].shape

    def rows(self, positions: NDArray[np.integer]) -> NDArray[np.float32]:
        """Gather the features of some photos.

        Args:
            positions: (n,) integers in [0, N), in any order.

        Returns:
            (n, *shape) float32 in that order.
        """
        gathered = np.empty((len(positions), *self.shape), np.float32)
        part_of, row_of = self.part_of[positions], self.row_of[positions]
        for part in np.unique(part_of):
            here = part_of == part
            gathered[here] = self.parts[part]["features"][row_of[here]]
        return gathered


@dataclass(frozen=True)
class FeatureCache:
    """Features on disk, by what they were computed with.

    `folder/<key>/part-<sha256>.npy` is an array of records: `image_id` S64 and `features` float16, or uint8 for pixels.
    The key is a digest of everything the features depend on but the photo, and a part is named by its own content, so
    that damage shows and processes that write at the same time cannot disturb each other.

    Attributes:
        folder: Root of the cache; safe to delete at any time.
    """

    folder: Path

    def features(
        self, prefix: "keras.Model", image_size_px: int, image_ids: Sequence[str], images: ImageSource
    ) -> CachedFeatures:
        """Give the outputs of a network for photos; those not in the cache are computed and added.

        Args:
            prefix: From raw pixels (N, image_size_px, image_size_px, 3) float32 in [0, 255] to features (N, ...). A
                network of nothing but its input gives the pixels, which are kept as uint8.
            image_size_px: Side of the decoded photos.
            image_ids: sha256 of each photo's bytes, 64 hex digits; repeats are allowed.
            images: Gives the bytes of the missing photos.

        Raises:
            ImageError: A photo cannot be decoded; the message starts with its id.
            TrainingError: A photo is missing in `images`, or a feature is not finite in float16.
        """
        pixels_only = len(prefix.layers) == 1
        dtype = _record_dtype("u1" if pixels_only else "<f2", prefix.output.shape[1:])
        key = text_digest(f"{_FORMAT} {weights_digest(prefix)} {image_size_px} {DECODE_VERSION} {dtype.descr}")
        folder = self.folder / key
        parts = _load_parts(folder, dtype)
        missing = set(image_ids).difference(*(_ids(part) for part in parts))
        if missing:
            wanted = [image_id for image_id in dict.fromkeys(image_ids) if image_id in missing]
            batches = _compute(None if pixels_only else prefix, image_size_px, wanted, images)
            _write_parts(folder, batches, dtype)
            parts = _load_parts(folder, dtype)
        return _locate(parts, image_ids)


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
    return np.dtype([("image_id", "S64"), ("features", kind, tuple(shape))])


def _ids(part: NDArray[np.void]) -> list[str]:
    return [image_id.decode() for image_id in part["image_id"].tolist()]


def _locate(parts: Sequence[NDArray[np.void]], image_ids: Sequence[str]) -> CachedFeatures:
    place = {image_id: (number, row) for number, part in enumerate(parts) for row, image_id in enumerate(_ids(part))}
    absent = [image_id for image_id in image_ids if image_id not in place]
    if absent:
        raise TrainingError(
            f"{len(absent)} photos have no features",
            expected="an image for every row of the split manifest",
            received=f"none for {examples(absent)}",
            remedy="run the manifest chapter again",
        )
    places = np.array([place[image_id] for image_id in image_ids], np.int64).reshape(-1, 2)
    return CachedFeatures(tuple(parts), places[:, 0], places[:, 1])


def _load_parts(folder: Path, dtype: np.dtype[np.void]) -> list[NDArray[np.void]]:
    return [part for path in sorted(folder.glob("part-*.npy")) if (part := _load_part(path, dtype)) is not None]


def _load_part(path: Path, dtype: np.dtype[np.void]) -> NDArray[np.void] | None:
    """Map a part into memory; one that is damaged is deleted, so that its photos are computed again."""
    try:
        if path.name != f"part-{file_digest(path)}.npy":
            raise ValueError("its content is not what its name says")
        part: NDArray[np.void] = np.load(path, mmap_mode="r", allow_pickle=False)
        if part.dtype != dtype or part.ndim != 1:
            raise ValueError(f"expected records of {dtype}, received {part.dtype} of shape {part.shape}")
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
    prefix: "keras.Model | None", image_size_px: int, image_ids: Sequence[str], images: ImageSource
) -> Iterator[tuple[list[str], NDArray[Any]]]:
    """Yield (ids, outputs) batch by batch; the pixels themselves where there is no prefix."""
    if prefix is not None:
        no_xla(prefix)
    photos = _once(images.images(image_ids), image_ids)
    with tqdm(total=len(image_ids), desc="features", unit="photo", disable=None) as bar:
        for ids, pixels in decode_batches(photos, image_size_px, COMPUTE_BATCH):
            yield ids, pixels if prefix is None else _to_float16(run_padded(prefix, pixels), ids)
            bar.update(len(ids))


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


def _to_float16(features: NDArray[np.float32], ids: Sequence[str]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        small = features.astype(np.float16)
    bad = ~np.isfinite(small).reshape(len(small), -1).all(axis=1)
    if bad.any():
        raise TrainingError(
            f"features of {int(bad.sum())} photos cannot be cached",
            expected="finite values of at most 65504 (float16)",
            received=f"up to {np.abs(features[bad]).max()} for {examples(np.array(ids)[bad])}",
            remedy="cut the network at another block: change `trainable` in the recipe",
        )
    return small


def _write_parts(folder: Path, batches: Iterable[tuple[list[str], NDArray[Any]]], dtype: np.dtype[np.void]) -> None:
    """Write records in parts of about `PART_BYTES`, each in one rename as soon as it is full."""
    waiting: list[NDArray[np.void]] = []
    for ids, features in batches:
        records = np.empty(len(ids), dtype)
        records["image_id"], records["features"] = ids, features
        waiting.append(records)
        if sum(records.nbytes for records in waiting) >= PART_BYTES:
            _write_part(folder, np.concatenate(waiting))
            waiting.clear()
    if waiting:
        _write_part(folder, np.concatenate(waiting))


def _write_part(folder: Path, records: NDArray[np.void]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, records, allow_pickle=False)
    data = buffer.getvalue()
    write_bytes(folder / f"part-{hashlib.sha256(data).hexdigest()}.npy", data)
