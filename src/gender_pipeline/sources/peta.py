"""PETA: 19,000 photos of pedestrians out of ten data sets, with up to 105 attributes (Deng et al., 2014).

Layout: `PETA.zip` (or `PETA dataset.zip`, `.tar.gz`, or the folder) with `<sub-set>/archive/` below any folders. That
holds photos (PNG, BMP, JPEG) and `Label.txt`, whose lines are `<person> <attribute> <attribute> ...`. A photo is called
`<person>.png` or `<person>_....png`, and one line labels all photos of its person; in CUHK the line names a photo
(`0001.png`) instead. Written from the published layout; the original archive was not available here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from gender_pipeline.errors import SourceError
from gender_pipeline.schema import Photo
from gender_pipeline.sources.archives import Member, find_archive, is_photo, read_members
from gender_pipeline.sources.settings import SourceSettings
from gender_pipeline.sources.tables import RowError, lines_of, tables_in

_LABELS_NAME: Final = "Label.txt"
_LABELS: Final = {"personalFemale": "female", "personalMale": "male"}
# The middle of the bin; the youngest begins at 0 and the oldest is taken to end at 100, as Adience's does.
_AGES: Final = {
    "personalLess15": 7.5, "personalLess30": 23.0, "personalLess45": 38.0, "personalLess60": 53.0,
    "personalLarger60": 80.5,
}  # fmt: skip
_Lines = Mapping[str, list[tuple[str, ...]]]  # `<sub-set>/<person>` -> the different lines of that person


def read(root: Path, settings: SourceSettings) -> Iterator[Photo]:
    """Yield the photos in archive order, then one row for each line of the label files that has no photo.

    The subject is `<sub-set>/<person>`, since persons are numbered anew in each sub-set; in CUHK it is the photo.
    `attributes` hold 1 for each attribute of the line but the gender; the others are absent. There is no official
    split: the authors drew theirs at random.

    Raises:
        SourceError: The archive is missing or damaged, or holds no label file.
    """
    archive = find_archive(root / settings.folder, "PETA", "PETA dataset")
    lines: dict[str, list[tuple[str, ...]]] = {}
    for name, data in tables_in(archive, settings.limits, lambda name: name.rpartition("/")[2] == _LABELS_NAME):
        _add_lines(lines, _sub_set(name) or "", lines_of(data, name))
    if not lines:
        raise SourceError(f"{archive} holds no {_LABELS_NAME}", expected="one in the folder archive of each sub-set")
    with_photo = set[str]()
    for member in read_members(archive, settings.limits):
        key = _key(member.name, lines)
        with_photo.add(key or "")
        yield _photo(member, key, lines, publishable=bool(settings.publishable))
    for key in lines:
        if key not in with_photo:
            missing = Member(key, b"", "row without a photo")
            yield _photo(missing, key, lines, publishable=bool(settings.publishable))


def _add_lines(lines: dict[str, list[tuple[str, ...]]], sub_set: str, text: list[str]) -> None:
    for line in text:
        person, *attributes = line.split()
        person = person.rpartition(".")[0] if is_photo(person) else person
        known = lines.setdefault(f"{sub_set}/{person}", [])
        if tuple(attributes) not in known:
            known.append(tuple(attributes))


def _sub_set(name: str) -> str | None:
    """Give the sub-set that a member lies in: the folder around `archive`."""
    parts = name.split("/")
    return parts[-3] if len(parts) >= 3 and parts[-2] == "archive" else None


def _key(name: str, lines: _Lines) -> str | None:
    """Give the key of a photo's line, or the one it would have; None where the photo is in no sub-set."""
    sub_set, stem = _sub_set(name), name.rpartition("/")[2].rpartition(".")[0]
    whole = f"{sub_set}/{stem}"
    return sub_set and (whole if whole in lines else f"{sub_set}/{stem.partition('_')[0]}")


def _photo(member: Member, key: str | None, lines: _Lines, *, publishable: bool) -> Photo:
    words: tuple[str, ...] = ()
    label, problem = None, member.problem
    try:
        words = _words(key, lines)
        label = _label(words)
    except RowError as error:
        problem = problem or str(error)
    ages = [_AGES[word] for word in words if word in _AGES]
    return Photo(
        member.name,
        member.data,
        subject_id=key or member.name,
        label=label,
        age_years=ages[0] if len(ages) == 1 else None,
        attributes={word: 1 for word in words if word not in _LABELS},
        publishable=publishable,
        problem=problem,
    )


def _words(key: str | None, lines: _Lines) -> tuple[str, ...]:
    if key is None:
        raise RowError("photo outside a sub-set's folder archive")
    if key not in lines:
        raise RowError(f"photo without a row in {key.rpartition('/')[0]}/archive/{_LABELS_NAME}")
    if len(lines[key]) > 1:
        raise RowError(f"two different rows in {key.rpartition('/')[0]}/archive/{_LABELS_NAME}")
    return lines[key][0]


def _label(words: tuple[str, ...]) -> str:
    """Give the class; a line must name exactly one."""
    labels = {_LABELS[word] for word in words if word in _LABELS}
    if len(labels) != 1:
        raise RowError("both personalMale and personalFemale" if labels else "neither personalMale nor personalFemale")
    return labels.pop()
