"""Any photos sorted into sub-folders: the folder's name is the class, whatever its name and however many there are.

Layout: a folder, zip, tar or tar.gz with `<class>/.../<photo>`; in an archive one more folder around them, called like
the archive, is passed over.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from gender_pipeline.errors import SourceError
from gender_pipeline.schema import Photo
from gender_pipeline.sources.archives import ARCHIVE_SUFFIXES, Member, find_archive, read_members
from gender_pipeline.sources.settings import SourceSettings


def read(root: Path, settings: SourceSettings) -> Iterator[Photo]:
    """Yield the photos; each is its own subject unless `settings.subject_pattern` finds the subject's id in its name.

    Names do not hold the outer folder, so that a folder and its archive give the same photos.

    Raises:
        SourceError: The folder or archive is missing or damaged, or the pattern is none with one group.
    """
    archive = find_archive(root, settings.folder)
    pattern = _compile(settings.subject_pattern)
    for member in read_members(archive, settings.limits):
        yield _photo(member, archive, pattern, publishable=bool(settings.publishable))


def _compile(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SourceError(f"subject_pattern {pattern!r} is no regular expression: {error}") from error
    if compiled.groups != 1:
        raise SourceError(
            f"subject_pattern {pattern!r} does not say which part is the subject",
            expected="one group",
            received=f"{compiled.groups} groups",
            remedy=r"put the part in brackets, as in (\d+)_",
        )
    return compiled


def _photo(member: Member, archive: Path, pattern: re.Pattern[str] | None, *, publishable: bool) -> Photo:
    outer = next((suffix for suffix in ARCHIVE_SUFFIXES if archive.name.endswith(suffix)), "")
    name = member.name.removeprefix(f"{archive.name.removesuffix(outer)}/")
    label, slash, _ = name.partition("/")
    match = pattern.search(name) if pattern else None
    problem = None if slash else "photo outside a class folder"
    if pattern and not (match and match.group(1)):
        problem = problem or "subject_pattern is not in the photo's name"
    return Photo(
        name,
        member.data,
        subject_id=match.group(1) if match and match.group(1) else name,
        label=label if slash else None,
        publishable=publishable,
        problem=member.problem or problem,
    )
