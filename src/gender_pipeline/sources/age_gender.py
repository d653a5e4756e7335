"""age-gender (Adience): faces from Flickr albums with age and gender, in five folds (Eidinger, Enbar, Hassner, 2014).

Layout: `agegender_cleaned.tar.gz`, or `aligned.tar.gz` or `faces.tar.gz` as the authors pack them, or those as folders,
with `aligned/<user>/landmark_aligned_face.<face_id>.<original_image>` or
`faces/<user>/coarse_tilt_aligned_face.<face_id>.<original_image>`; tab separated `fold_<k>_data.txt`, beside the
archive or anywhere in it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gender_pipeline.errors import SourceError, examples
from gender_pipeline.schema import Photo
from gender_pipeline.sources.archives import ArchiveLimits, Member, find_archive, read_members
from gender_pipeline.sources.settings import SourceSettings
from gender_pipeline.sources.tables import RowError, Table, lines_of, number, parse_table, read_file, tables_in

_NAME: Final = re.compile(r"(?:.*/)?([^/]+)/(?:landmark|coarse_tilt)_aligned_face\.(\d+)\.([^/]+)", re.ASCII)
_FOLD: Final = re.compile(r"fold_\d+_data\.txt", re.ASCII)
_FOLD_SUFFIX: Final = "_data.txt"
_KEY: Final = ("user_id", "face_id", "original_image")
_AGES: Final = re.compile(r"\((\d{1,3}), *(\d{1,3})\)|(\d{1,3})", re.ASCII)
_LABELS: Final = {"f": "female", "m": "male", "u": None, "": None}
_MAX_AGE_YEARS: Final = 130
_NUMBERS: Final = ("tilt_ang", "fiducial_yaw_angle", "fiducial_score")


def read(root: Path, settings: SourceSettings) -> Iterator[Photo]:
    """Yield the photos in archive order, then one row for each row of the fold tables that has no photo.

    The label is None where the gender is `u` or empty; `age_years` is the middle of the bin. `box` stays None, for the
    tables' x, y, dx, dy lie in the uncropped photo, which the data set does not hold. `attributes` hold `tilt_ang` and
    `fiducial_yaw_angle` in degrees and `fiducial_score`. A row may have both an aligned and a tilted photo.

    Raises:
        SourceError: The archive or the fold tables are missing or damaged, or a face has two rows.
    """
    folder = root / settings.folder
    archive = find_archive(folder, "agegender_cleaned", "aligned", "faces")
    rows = _read_rows(folder, archive, settings.limits)
    seen = set[str]()
    for member in read_members(archive, settings.limits):
        photo = _photo(member, rows)
        seen.add(_key(member.name))
        yield replace(photo, publishable=bool(settings.publishable))
    for key in rows:
        if key not in seen:
            photo = _annotate(Photo(key, b"", key, None, problem="row without a photo"), key, rows)
            yield replace(photo, publishable=bool(settings.publishable))


def age_in_years(text: str) -> float | None:
    """Read an age: `(25, 32)` is 28.5, `35` is 35, `None` and the empty text are None.

    Raises:
        RowError: It is none of these, or over 130.
    """
    if text in ("None", ""):
        return None
    match = _AGES.fullmatch(text)
    ages = [int(age) for age in match.groups() if age] if match else []
    if not ages or max(ages) > _MAX_AGE_YEARS:
        raise RowError(f"unknown age {text[:40]!r}")
    return sum(ages) / len(ages)


@dataclass(frozen=True, slots=True)
class _Fold:
    name: str  # fold_0
    table: Table


def _read_rows(folder: Path, archive: Path, limits: ArchiveLimits) -> dict[str, _Fold]:
    """Read the fold tables beside the archive, else those in it; say for each row's key in which fold it stands."""
    beside = sorted(path for path in folder.iterdir() if path.is_file() and _is_fold(path.name))
    # Tables may come last in an archive, so it is read twice where they lie in it.
    found = [(path.name, read_file(path, limits)) for path in beside] or tables_in(archive, limits, _is_fold)
    rows: dict[str, _Fold] = {}
    for name, data in found:
        table = parse_table(name, lines_of(data, name), key=_KEY, required=("age", "gender"))
        fold = _Fold(name.rpartition("/")[2].removesuffix(_FOLD_SUFFIX), table)
        if twice := rows.keys() & table.rows.keys():
            raise SourceError(f"{name}: rows that another fold has too", received=examples(sorted(twice)))
        rows.update(dict.fromkeys(table.rows, fold))
    if not rows:
        raise SourceError(
            f"{folder}: no rows of fold tables",
            expected=f"fold_0{_FOLD_SUFFIX} to fold_4{_FOLD_SUFFIX} in {archive.name} or beside it",
            remedy="fetch them from the data set's page",
        )
    return rows


def _is_fold(name: str) -> bool:
    return _FOLD.fullmatch(name.rpartition("/")[2]) is not None


def _key(name: str) -> str:
    """Give the key that a photo's row has: user, face and original image, joined like the table's."""
    match = _NAME.fullmatch(name)
    return "/".join(match.groups()) if match else ""


def _photo(member: Member, rows: dict[str, _Fold]) -> Photo:
    key = _key(member.name)
    subject = key.partition("/")[0] or member.name
    photo = Photo(member.name, member.data, subject, label=None, problem=member.problem)
    if key in rows:
        return _annotate(photo, key, rows)
    missing = "photo without a row in the fold tables" if key else "name is not one of an Adience photo"
    return replace(photo, problem=photo.problem or missing)


def _annotate(photo: Photo, key: str, rows: dict[str, _Fold]) -> Photo:
    """Add what the photo's row says; what the row does not say in the data set's own words is the photo's problem."""
    fold = rows[key]
    photo = replace(photo, official_split=fold.name, subject_id=key.partition("/")[0])
    try:
        row = fold.table.row(key)
        if row["gender"] not in _LABELS:
            raise RowError(f"unknown label {row['gender'][:40]!r}")
        return replace(
            photo,
            label=_LABELS[row["gender"]],
            age_years=age_in_years(row["age"]),
            attributes={name: number(row[name], name) for name in _NUMBERS if row.get(name)},
        )
    except RowError as error:
        return replace(photo, problem=photo.problem or str(error))
