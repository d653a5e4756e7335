"""One reader a data set: it streams the original archives and yields photos with what the data set says of them.

A new data set costs one module with `read(root, settings)` and one line in `SOURCES`.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from gender_pipeline.errors import SourceError
from gender_pipeline.files import file_digest
from gender_pipeline.schema import Photo
from gender_pipeline.sources import age_gender, celeba, folder, muct, peta, rap, sample
from gender_pipeline.sources.archives import ArchiveLimits, find_archive, reraise
from gender_pipeline.sources.known_files import known_digests
from gender_pipeline.sources.settings import SourceSettings, SourcesSettings

__all__ = [
    "SOURCES",
    "ArchiveLimits",
    "SourceSettings",
    "SourcesSettings",
    "data_set_path",
    "known_digests",
    "read_photos",
    "source_digest",
]

SOURCES: Final[dict[str, Callable[[Path, SourceSettings], Iterator[Photo]]]] = {
    "muct": muct.read,
    "celeba": celeba.read,
    "age_gender": age_gender.read,
    "peta": peta.read,
    "rap": rap.read,
    "folder": folder.read,
    "sample": sample.read,
}
# To be raised when a reader gives other rows for the same files, so that unchanged files are read again.
READERS_VERSION: Final = 1


def read_photos(root: Path, settings: SourceSettings) -> Iterator[Photo]:
    """Stream a data set's photos; every name is unique, and what cannot be used has a `problem`.

    Args:
        root: Raw root, the folder that holds `settings.folder`.
        settings: Which reader, which folder, which options.

    Returns:
        Photos in the archive's order, each read when it is asked for.

    Raises:
        SourceError: There is no such reader or root (at once), or the data set is damaged or holds no photo (when the
            damage is met).
    """
    if settings.reader not in SOURCES:
        raise SourceError(
            f"unknown reader {settings.reader!r}",
            expected=f"one of {', '.join(SOURCES)}",
            remedy="correct the source's `reader` in the parameters",
        )
    _check_root(root)
    return _unique(SOURCES[settings.reader](root, settings), root / settings.folder)


def data_set_path(root: Path, settings: SourceSettings) -> Path:
    """Return the folder or the archive that holds a data set.

    Raises:
        SourceError: The root or the data set does not exist.
    """
    _check_root(root)
    path = root / settings.folder
    return path if path.is_dir() else find_archive(root, settings.folder)


def source_digest(root: Path, settings: SourceSettings, digest_of: Callable[[Path], str] = file_digest) -> str:
    """Return the sha256 over the readers' version, the settings, and name and content of every file that is not hidden.

    Args:
        root: Raw root, the folder that holds `settings.folder`.
        settings: Which reader, which folder, which options.
        digest_of: Gives the sha256 of a file, 64 hex digits; `known_digests` has one that reads only what is new.

    Raises:
        SourceError: The root or the data set's folder does not exist, or a file cannot be read.
    """
    digest = sha256(f"{READERS_VERSION} {settings.model_dump_json()}".encode())
    top = data_set_path(root, settings)
    try:
        for file in _files(top):
            name = os.fsencode(file.relative_to(top.parent).as_posix())
            content = digest_of(file) if file.is_file() else "no file"
            digest.update(b"%d %s %s" % (len(name), name, content.encode()))
    except OSError as error:
        raise SourceError(f"{error.filename} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _check_root(root: Path) -> None:
    if not root.is_dir():
        raise SourceError(
            f"the raw root {root} does not exist",
            expected="a folder that holds the data sets",
            remedy="correct raw_root, or put the data sets there",
        )


def _files(top: Path) -> Iterator[Path]:
    """List what is not hidden; a linked folder counts at the first level only, where the readers follow it too."""
    starts = sorted(top.iterdir()) if top.is_dir() else [top]
    for start in starts:
        if start.name.startswith("."):
            continue
        if not start.is_dir():
            yield start
        else:
            for parent, folders, files in os.walk(start, onerror=reraise):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))


def _unique(photos: Iterator[Photo], folder: Path) -> Iterator[Photo]:
    """Refuse each photo whose name came before, under a name of its own: source and name are the key of a row."""
    seen: set[str] = set()
    for photo in photos:
        name = photo.name
        while name in seen:
            name = f"{name} (photo {len(seen) + 1})"
        seen.add(name)
        yield photo if name == photo.name else replace(photo, name=name, data=b"", problem="duplicated name")
    if not seen:
        raise SourceError(
            f"{folder} holds no photos",
            expected="photos in the layout of the data set",
            remedy="see the reader's documentation for the layout",
        )
