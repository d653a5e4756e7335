"""Photos wherever people keep them: files, folders and archives, answered as a stream."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from gender_pipeline.errors import SourceError
from gender_pipeline.export.predictor import BATCH_SIZE, Crop, PhotoAnswer, Predictor, Prepared
from gender_pipeline.images.decode import map_ahead
from gender_pipeline.sources.archives import ARCHIVE_SUFFIXES, ArchiveLimits, Member, is_photo, read_members

_LIMITS = ArchiveLimits()


def find_photos(paths: Sequence[Path], limits: ArchiveLimits = _LIMITS) -> Iterator[Member]:
    """Read photos from files, folders (all below, by name) and archives (zip, tar, tar.gz), one at a time.

    Returns:
        A member a photo, called by the path that leads to it; what cannot be read has a `problem` and no bytes.

    Raises:
        SourceError: A path does not exist (at once), or an archive is damaged (when the damage is met).
    """
    for path in paths:
        if not path.exists():
            raise SourceError(f"{path} does not exist", expected="a photo, a folder or an archive of photos")
    return (member for path in paths for member in _members(path, limits))


def answer_members(
    predictor: Predictor, photos: Iterable[Member], *, crop: Crop | None = None
) -> Iterator[tuple[str, PhotoAnswer]]:
    """Answer photos as a stream: the next ones are read and decoded while the network runs.

    Args:
        predictor: Answers them.
        photos: What `find_photos` gives; at most a batch and a few more are in memory at a time.
        crop: What is cut out of a photo; None follows the model.

    Yields:
        Name and answer of each photo, in their order.
    """

    def prepare(photo: Member) -> tuple[str, Prepared]:
        refused = photo.problem and Prepared(predictor.no_pixels, problem=photo.problem)
        return photo.name, refused or predictor.prepare(photo.data, crop=crop)

    prepared = map_ahead(prepare, photos)
    while batch := list(islice(prepared, BATCH_SIZE)):
        answers = predictor.answer_prepared([photo for _, photo in batch])
        yield from zip([name for name, _ in batch], answers, strict=True)


def count_photos(paths: Sequence[Path]) -> int | None:
    """Count what `find_photos` will give, for a progress bar; None where an archive would have to be read for it."""
    if any(path.is_file() and _is_archive(path) for path in paths):
        return None
    return sum(
        sum(is_photo(str(file.relative_to(path))) for file in path.rglob("*")) if path.is_dir() else 1 for path in paths
    )


def _members(path: Path, limits: ArchiveLimits) -> Iterator[Member]:
    if path.is_dir() or _is_archive(path):
        # In a folder the names of members begin with its own.
        top = path.parent if path.is_dir() else path
        return (Member(_shown(top / member.name), member.data, member.problem) for member in read_members(path, limits))
    return iter([_read(path, limits.max_member_mib << 20)])


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def _read(path: Path, max_bytes: int) -> Member:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        return Member(_shown(path), b"", error.strerror or "unreadable")
    if len(data) > max_bytes:
        return Member(_shown(path), b"", f"larger than {max_bytes >> 20} MiB")
    return Member(_shown(path), data)


def _shown(path: Path) -> str:
    """Return a path as what can be written to any file: what is no UTF-8 in it becomes `?`."""
    return str(path).encode("utf-8", "replace").decode()
