"""RAP: 41,585 photos of pedestrians under 26 cameras, with 92 attributes (Li et al., 2016); also its second version.

Layout: `RAP_dataset.zip` (or `.tar.gz`, or the folder) with `CAM01-...-tarid0-frame218-line1.png`, and
`RAP_annotation.mat` beside it or in `RAP_annotation.zip` (or `.tar.gz`, or the folder). The MATLAB file (version 5)
holds the struct `RAP_annotation`, whose fields are called otherwise in version 2 of the data set. Written from the
published layout; the original archives were not available here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import SourceError, examples
from gender_pipeline.schema import TEST, TRAIN, VALIDATION, Photo
from gender_pipeline.sources.archives import ArchiveLimits, Member, find_archive, read_members
from gender_pipeline.sources.matlab import read_mat
from gender_pipeline.sources.settings import SourceSettings
from gender_pipeline.sources.tables import read_file, tables_in

_STRUCT: Final = "RAP_annotation"
_FILE: Final = f"{_STRUCT}.mat"
# What a field is called in version 1 and in version 2.
_NAMES, _VALUES, _ATTRIBUTES = ("imagesname", "name"), ("label", "data"), ("attribute_eng", "attribute")
_PARTITIONS: Final = ("partition", "partition_attribute")
_PERSONS: Final = "person_identity"  # version 2 only; -1 is nobody known
_FEMALE: Final = ("Female", "Femal")  # version 2 writes it so
_SPLITS: Final = {"train_index": TRAIN, "val_index": VALIDATION, "test_index": TEST}
_LABELS: Final = {0: "male", 1: "female", 2: None}  # 2 is "not sure"
# Camera, times and number of the tracked person, joined by hyphens or underscores.
_TRACK: Final = re.compile(r"CAM\d+[-_].*?tarid\d+", re.ASCII)
_AGES: Final = {"AgeLess16": 8.0, "Age17-30": 23.5, "Age31-45": 38.0, "Age46-60": 53.0, "AgeBiger60": 80.5}


def read(root: Path, settings: SourceSettings) -> Iterator[Photo]:
    """Yield the photos in archive order, then one row for each annotated name that has no photo.

    The subject is the person (version 2, where one is known), else the track: photos of one person seen by one camera
    without a break; the same person on another day counts as another subject. The label is None where the annotators
    were not sure. `attributes` hold the attributes that are not 0: 1, or 2 for "not sure". `official_split` is that of
    the first of the five random partitions the authors give; it divides photos, not persons.

    Raises:
        SourceError: Photos or annotations are missing or damaged, or the MATLAB file is of version 7.3 (HDF5).
    """
    folder = root / settings.folder
    archive = find_archive(folder, "RAP_dataset")
    rows = _read_annotations(folder, settings.limits)
    used, refused = set[str](), set[str]()
    for member in read_members(archive, settings.limits):
        key = _key(member.name)
        again = "second photo of one row" if key in used else None
        (refused if member.problem else used).add(key)
        yield _photo(member, rows, problem=member.problem or again, publishable=bool(settings.publishable))
    for key, row in rows.places.items():
        if key not in used and key not in refused:
            missing = Member(f"{archive.name.partition('.')[0]}/{rows.names[row]}", b"")
            yield _photo(missing, rows, problem="row without a photo", publishable=bool(settings.publishable))


@dataclass(frozen=True)
class _Annotations:
    """The N rows of the MATLAB file: `values` is (N, k) of 0, 1 and 2, `splits` and `persons` have N entries."""

    names: list[str]
    places: dict[str, int]
    attributes: list[str]
    values: NDArray[Any]
    splits: list[str | None]
    persons: list[int]

    @property
    def female(self) -> int:
        """Column of the gender."""
        return next(self.attributes.index(name) for name in _FEMALE if name in self.attributes)


def _key(name: str) -> str:
    # Without the suffix: the annotations of version 2 were made for files of another format.
    return name.rpartition("/")[2].rpartition(".")[0]


def _read_annotations(folder: Path, limits: ArchiveLimits) -> _Annotations:
    name, data = _read_mat_file(folder, limits)
    fields = read_mat(data, name, _STRUCT, limits.max_member_mib << 20)
    if not isinstance(fields, dict):
        raise _unlike(name, f"{_STRUCT} is no struct")
    names, attributes = _texts(fields, _NAMES, name), _texts(fields, _ATTRIBUTES, name)
    values = _field(fields, _VALUES)
    if not _is_finite(values) or values.shape != (len(names), len(attributes)):
        raise _unlike(name, f"{getattr(values, 'shape', 'no')} values for {len(names)} x {len(attributes)}")
    if not set(_FEMALE) & set(attributes):
        raise _unlike(name, f"attributes {examples(attributes)}")
    places = {_key(photo): row for row, photo in enumerate(names)}
    if len(places) != len(names):
        raise _unlike(name, f"{len(names) - len(places)} names twice")
    persons = fields.get(_PERSONS)
    if not _is_finite(persons) or persons.size != len(names):
        persons = np.full(len(names), -1)
    return _Annotations(
        names=names,
        places=places,
        attributes=attributes,
        values=values,
        splits=_splits(_field(fields, _PARTITIONS), len(names), name),
        persons=[int(person) for person in persons.ravel()],
    )


def _read_mat_file(folder: Path, limits: ArchiveLimits) -> tuple[str, bytes]:
    if (folder / _FILE).is_file():
        return _FILE, read_file(folder / _FILE, limits)
    archive = find_archive(folder, _STRUCT)
    for name, data in tables_in(archive, limits, lambda name: name.rpartition("/")[2] == _FILE):
        return name, data
    raise SourceError(f"{archive} holds no {_FILE}", remedy=f"put {_FILE} there")


def _field(fields: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((fields[name] for name in names if name in fields), None)


def _is_finite(values: Any) -> TypeGuard[NDArray[Any]]:
    return isinstance(values, np.ndarray) and bool(np.isfinite(values).all())


def _texts(fields: dict[str, Any], names: tuple[str, ...], file: str) -> list[str]:
    """Read a cell of texts, each perhaps in a cell of its own."""
    cell = _field(fields, names)
    texts = [item[0] if isinstance(item, list) and item else item for item in cell] if isinstance(cell, list) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise _unlike(file, f"no texts in {' or '.join(names)}")
    return [text.strip() for text in texts]


def _splits(partitions: Any, n_photos: int, file: str) -> list[str | None]:
    """Give each photo's part in the first partition; its indices count from 1."""
    splits: list[str | None] = [None] * n_photos
    first = partitions[0] if isinstance(partitions, list) and partitions else partitions
    first = first[0] if isinstance(first, list) and first else first
    for name, split in _SPLITS.items():
        indices = first.get(name) if isinstance(first, dict) else None
        for index in indices.ravel() if isinstance(indices, np.ndarray) else ():
            if not 1 <= index <= n_photos:
                raise _unlike(file, f"index {index} in {name} of {n_photos} photos")
            splits[int(index) - 1] = split
    return splits


def _photo(member: Member, rows: _Annotations, *, problem: str | None, publishable: bool) -> Photo:
    row = rows.places.get(_key(member.name))
    if row is None:
        problem = problem or f"photo without a row in {_FILE}"
        return Photo(member.name, member.data, member.name, None, publishable=publishable, problem=problem)
    attributes = {
        name: int(value) for name, value in zip(rows.attributes, rows.values[row].tolist(), strict=True) if value
    }
    value = rows.values[row, rows.female].item()
    unknown = None if value in _LABELS else f"unknown label {value}"
    ages = [age for name, age in _AGES.items() if attributes.get(name) == 1]
    track = _TRACK.match(_key(member.name))
    return Photo(
        member.name,
        member.data,
        subject_id=str(rows.persons[row]) if rows.persons[row] >= 0 else (track.group() if track else member.name),
        label=_LABELS.get(value),
        age_years=ages[0] if len(ages) == 1 else None,
        attributes=attributes,
        official_split=rows.splits[row],
        publishable=publishable,
        problem=problem or unknown,
    )


def _unlike(name: str, received: str) -> SourceError:
    return SourceError(
        f"{name} is not RAP's annotation file",
        expected=f"the struct {_STRUCT} with names, attributes (one of them Female) and a value for each pair",
        received=received,
        remedy="use the data set's original file",
    )
