"""From raw archives to a shard folder; what has not changed is neither read nor written."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from gender_pipeline.errors import ImageError
from gender_pipeline.images.decode import map_ahead
from gender_pipeline.images.faces import FACES_VERSION, cut_faces, square_around
from gender_pipeline.images.shards import ShardSettings, ShardStore, SourcePhotos, update_shards
from gender_pipeline.schema import Photo
from gender_pipeline.sources import SourceSettings, SourcesSettings, known_digests, read_photos, source_digest

NO_FACE = "no face"


def ingest(folder: Path, *, root: Path, sources: SourcesSettings, settings: ShardSettings) -> ShardStore:
    """Bring a shard folder up to date with raw archives.

    Args:
        folder: The store. The digests of raw files are kept beside it in `.<name>-files.json`, not in it: the store's
            own files hang on the photos alone, so that DVC sees nothing new where a file was only touched.
        root: Raw root, the folder that holds the data sets.
        sources: Which data sets.
        settings: How photos are checked and stored.

    Returns:
        A read handle of the new state.

    Raises:
        SourceError: The root or a data set is missing or damaged.
    """
    with known_digests(folder.with_name(f".{folder.name}-files.json")) as digest_of:
        photos = {name: _photos(root, data_set, digest_of) for name, data_set in sources.data_sets.items()}
    return update_shards(folder, photos, settings)


def crop_to_face(photo: Photo) -> Photo:
    """Replace a whole photo by the crop of its largest face.

    Box and landmarks are in pixels of the crop then; where it was cut out, the attributes `crop_left_px`, `crop_top_px`
    and `crop_side_px` say. A photo without a face gets the problem `no face`; one that cannot be decoded stays as it
    is, and the checks say why.
    """
    if photo.problem:
        return photo
    try:
        faces = cut_faces(photo.data)
    except ImageError:
        return photo
    if not faces:
        return replace(photo, problem=NO_FACE)
    (x, y, width, height), (left, top, side, _) = faces[0].box, square_around(faces[0].box)
    return replace(
        photo,
        data=faces[0].data,
        box=(x - left, y - top, width, height),
        landmarks=photo.landmarks and _moved(photo.landmarks, left, top),
        attributes={**photo.attributes, "crop_left_px": left, "crop_top_px": top, "crop_side_px": side},
    )


def _moved(landmarks: tuple[float, ...], left: int, top: int) -> tuple[float, ...]:
    return tuple(value - (top if number % 2 else left) for number, value in enumerate(landmarks))


def _photos(root: Path, settings: SourceSettings, digest_of: Callable[[Path], str]) -> SourcePhotos:
    digest = source_digest(root, settings, digest_of)
    if settings.crop == "none":
        return SourcePhotos(digest, partial(read_photos, root, settings))
    return SourcePhotos(f"{digest} faces {FACES_VERSION}", partial(_cropped, root, settings))


def _cropped(root: Path, settings: SourceSettings) -> Iterator[Photo]:
    return map_ahead(crop_to_face, read_photos(root, settings))
