"""CelebA: 202,599 photos of celebrities, 40 attributes each, with identities (Liu et al., 2015).

Layout: `img_align_celeba.zip` (or `.tar.gz`, or the folder), `list_attr_celeba`, `identity_CelebA` and
`list_eval_partition`, each as `.txt` (a count line, spaces) or `.csv`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gender_pipeline.errors import SourceError, examples
from gender_pipeline.schema import TEST, TRAIN, VALIDATION, Photo
from gender_pipeline.sources.archives import ArchiveLimits, Member, find_archive, is_photo, read_members
from gender_pipeline.sources.settings import SourceSettings
from gender_pipeline.sources.tables import RowError, Table, lines_of, parse_table, read_file, separator_of, split

_PHOTOS: Final = "img_align_celeba"
_COUNT: Final = re.compile(r"\s*(\d{1,12})\s*", re.ASCII)
_VALUES: Final = {"1": 1, "-1": -1, "0": -1}
_SPLITS: Final = {"0": TRAIN, "1": VALIDATION, "2": TEST}
_WORDS: Final = {"Male": {1: "male", -1: "female"}}


def read(root: Path, settings: SourceSettings) -> Iterator[Photo]:
    """Yield the photos in archive order, then one row for each row of the attribute table that has no photo.

    The class is composed of `settings.label` in its order: `female` or `male` of `Male`, `x` or `not_x` of any other
    attribute, joined by `+` (`female+not_young`). `attributes` hold all attributes as 1 and -1.

    Raises:
        SourceError: The archive or a table is missing or damaged, or a name in `settings.label` is no attribute.
    """
    folder = root / settings.folder
    archive = find_archive(folder, _PHOTOS)
    tables = _read_tables(folder, settings.limits)
    _check_label(settings.label, tables.attributes)
    used, refused = set[str](), set[str]()
    for member in read_members(archive, settings.limits):
        key = member.name.rpartition("/")[2]
        again = "second photo of one row" if key in used else None
        (refused if member.problem else used).add(key)
        yield _photo(member, tables, settings, problem=member.problem or again)
    for key in tables.attributes.rows:
        if key not in used and key not in refused:
            yield _photo(Member(f"{_PHOTOS}/{key}", b""), tables, settings, problem="row without a photo")


def class_name(label: tuple[str, ...], attributes: Mapping[str, int]) -> str:
    """Name the class that the values (1 or -1) of the label's attributes make: `male`, `female+not_young`."""
    return "+".join(_WORDS.get(name, {1: name.lower(), -1: f"not_{name.lower()}"})[attributes[name]] for name in label)


@dataclass(frozen=True, slots=True)
class _Tables:
    attributes: Table
    identities: Table
    partitions: Table


def _read_tables(folder: Path, limits: ArchiveLimits) -> _Tables:
    return _Tables(
        attributes=_read_table(folder, "list_attr_celeba", limits),
        identities=_read_table(folder, "identity_CelebA", limits, column="identity"),
        partitions=_read_table(folder, "list_eval_partition", limits, column="partition"),
    )


def _read_table(folder: Path, stem: str, limits: ArchiveLimits, column: str | None = None) -> Table:
    path = next((path for suffix in (".txt", ".csv") if (path := folder / f"{stem}{suffix}").is_file()), None)
    if path is None:
        raise SourceError(
            f"{folder}: {stem} is missing",
            expected=f"{stem}.txt or {stem}.csv",
            remedy="it is in CelebA's folder Anno or Eval",
        )
    lines = lines_of(read_file(path, limits), path.name)
    match = _COUNT.fullmatch(lines[0])
    table = _parse(path.name, lines[1:] if match else lines, column)
    count = int(match.group(1)) if match else None
    if count not in (None, len(table.rows)):
        raise SourceError(
            f"{path} is cut or mixed up",
            expected=f"the {count} rows it announces",
            received=f"{len(table.rows)} rows",
            remedy="fetch it again",
        )
    return table


def _parse(name: str, lines: list[str], column: str | None) -> Table:
    """Parse a table whose header may be missing (one `column`), or lack the name of its first column."""
    required = (column,) if column else ()
    first = split(lines[0], separator_of(lines[0])) if lines else [""]
    if first[0] == "image_id":
        return parse_table(name, lines, key=("image_id",), required=required)
    if is_photo(first[0]):
        return parse_table(name, lines, key=("image_id",), required=required, columns=("image_id", *required))
    return parse_table(name, lines[1:], key=("image_id",), required=required, columns=("image_id", *first))


def _check_label(label: tuple[str, ...], table: Table) -> None:
    known = table.columns[1:]
    unknown = [name for name in label if name not in known]
    if unknown or len(set(label)) != len(label):
        raise SourceError(
            f"the label {'+'.join(label)} cannot be composed",
            expected=f"some of {', '.join(known)}, each once",
            received=examples(unknown or label),
            remedy="correct `label` of the source in the parameters",
        )


def _photo(member: Member, tables: _Tables, settings: SourceSettings, *, problem: str | None) -> Photo:
    key = member.name.rpartition("/")[2]
    attributes: dict[str, int] = {}
    subject_id, label, official_split = member.name, None, None
    try:
        attributes = _attributes(tables.attributes, key)
        label = class_name(settings.label, attributes)
        subject_id = tables.identities.row(key)["identity"]
        official_split = _official_split(tables.partitions, key)
    except RowError as error:
        problem = problem or str(error)
    return Photo(
        member.name,
        member.data,
        subject_id=subject_id,
        label=label,
        attributes=attributes,
        official_split=official_split,
        publishable=bool(settings.publishable),
        problem=problem,
    )


def _attributes(table: Table, key: str) -> dict[str, int]:
    row = table.row(key)
    row.pop("image_id")
    try:
        return {name: _VALUES[value] for name, value in row.items()}
    except KeyError as error:
        raise RowError(f"unknown label {error.args[0][:40]!r} in {table.name}") from error


def _official_split(table: Table, key: str) -> str:
    partition = table.row(key)["partition"]
    if partition not in _SPLITS:
        raise RowError(f"unknown label {partition[:40]!r} in {table.name}")
    return _SPLITS[partition]
