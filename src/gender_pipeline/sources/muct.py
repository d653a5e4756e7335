"""MUCT: photos of subjects under ten lights, seen by five cameras, with 76 landmarks (Milborrow et al., 2010).

Layout: `muct-{a..e}-jpg-v1.tar.gz`, one a camera, with `jpg/i500qa-fn.jpg`; `muct-landmarks-v1.tar.gz` with
`muct76-opencv.csv`. A name is `i`, three digits of the subject, the light q-z, the camera a-e, `-`, the gender f or m,
and g with or n without glasses. The unpacked folders `jpg` and `muct-landmarks-v1` are read as well.
"""

import logging
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from gender_pipeline.schema import Photo
from gender_pipeline.sources.archives import ArchiveLimits, Member, find_archive, find_archives, read_members
from gender_pipeline.sources.settings import SourceSettings
from gender_pipeline.sources.tables import RowError, Table, lines_of, number, parse_table, tables_in

# The subjects who agreed to be shown in publications.
PUBLISHABLE_SUBJECTS: Final = frozenset({"000", "001", "002", "200", "201", "400", "401", "402"})

_LANDMARKS: Final = "muct76-opencv.csv"
_LANDMARKS_STEM: Final = "muct-landmarks-v1"
_NAME: Final = re.compile(r"i(\d{3})([q-z])([a-e])-([fm])([ng])\.jpg", re.ASCII)
_LABELS: Final = {"f": "female", "m": "male"}
_log = logging.getLogger(__name__)


def read(root: Path, settings: SourceSettings) -> Iterator[Photo]:
    """Yield the photos of the cameras that are there, a to e.

    `attributes` hold `lighting` (q-z), `camera` (a-e) and `glasses` (0 or 1); `landmarks` hold 152 pixel coordinates,
    NaN for a point that was hidden, or None where the table has no row. Landmark rows without a photo are only counted.

    Raises:
        SourceError: There is no archive of photos, or an archive or the landmark table is damaged.
    """
    folder = root / settings.folder
    stems = [f"muct-{camera}-jpg-v1" for camera in "abcde"]
    archives = [find_archive(folder, stem) for stem in stems if find_archives(folder, stem)]
    table = _read_landmarks(folder, settings.limits)
    with_photo = 0
    for archive in archives or [find_archive(folder, "jpg", *stems)]:
        for member in read_members(archive, settings.limits):
            photo = _photo(member, table, settings.publishable)
            with_photo += photo.landmarks is not None
            yield photo
    _log.info("%s: %d of %d landmark rows have a photo", folder.name, with_photo, len(table.rows) if table else 0)


def _read_landmarks(folder: Path, limits: ArchiveLimits) -> Table | None:
    if find_archives(folder, _LANDMARKS_STEM):
        archive = find_archive(folder, _LANDMARKS_STEM)
        for name, data in tables_in(archive, limits, lambda name: name.endswith(_LANDMARKS)):
            # The rows `ir000qa-fn` are for mirrored photos, which the data set does not hold.
            lines = [line for line in lines_of(data, name) if not line.startswith("ir")]
            return parse_table(name, lines, key=("name",), required=("tag", "x00", "y00"))
    _log.info("%s: no landmark table", folder.name)
    return None


def _photo(member: Member, table: Table | None, publishable: bool | None) -> Photo:
    match = _NAME.fullmatch(member.name.rpartition("/")[2])
    if match is None or member.problem:
        problem = member.problem or "name is not in the MUCT code"
        return Photo(member.name, member.data, subject_id=member.name, label=None, problem=problem)
    subject, light, camera, gender, glasses = match.groups()
    photo = Photo(
        member.name,
        member.data,
        subject_id=subject,
        label=_LABELS[gender],
        attributes={"lighting": light, "camera": camera, "glasses": int(glasses == "g")},
        publishable=subject in PUBLISHABLE_SUBJECTS if publishable is None else publishable,
    )
    try:
        return replace(photo, landmarks=_landmarks(table, match.group().removesuffix(".jpg")))
    except RowError as error:
        return replace(photo, problem=str(error))


def _landmarks(table: Table | None, key: str) -> tuple[float, ...] | None:
    if table is None or key not in table.rows:
        return None
    values = [number(text, "landmark") for column, text in table.row(key).items() if column not in ("name", "tag")]
    points = zip(values[::2], values[1::2], strict=False)
    # The table writes (0, 0) for a point behind the head or out of the photo.
    return tuple(part for point in points for part in (point if any(point) else (math.nan, math.nan)))
