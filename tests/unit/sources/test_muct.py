import logging
import math
from pathlib import Path

import pytest

from gender_pipeline.errors import SourceError
from gender_pipeline.schema import Photo
from gender_pipeline.sources import SourceSettings
from gender_pipeline.sources.muct import PUBLISHABLE_SUBJECTS, read
from layouts import muct, noise, pack

LANDMARKS = "muct-landmarks-v1/muct76-opencv.csv"


@pytest.fixture
def source(tmp_path: Path) -> SourceSettings:
    return muct(tmp_path / "muct")


def rewrite_landmarks(root: Path, text: str) -> None:
    pack(root / "muct" / "muct-landmarks-v1.tar.gz", {LANDMARKS: text.encode()})


def test_a_photo_has_what_its_name_says(tmp_path: Path, source: SourceSettings) -> None:
    photos = list(read(tmp_path, source))
    assert [photo.name[4:] for photo in photos[:4]] == [
        "i000qa-fg.jpg",
        "i500qa-fg.jpg",
        "i501qa-mn.jpg",
        "i000qb-fg.jpg",
    ]
    assert photos[2] == Photo(
        "jpg/i501qa-mn.jpg",
        noise(1000 * ord("a") + 2),
        subject_id="501",
        label="male",
        attributes={"lighting": "q", "camera": "a", "glasses": 0},
    )


def test_only_the_subjects_who_agreed_are_publishable(tmp_path: Path) -> None:
    subjects = (0, 1, 2, 3, 200, 201, 202, 400, 401, 402, 403, 500)
    photos = read(tmp_path, muct(tmp_path / "muct", subjects=subjects))
    assert {photo.subject_id for photo in photos if photo.publishable} == PUBLISHABLE_SUBJECTS - {"202"} | {"000"}


def test_landmarks_are_pixels_with_nan_for_hidden_points_and_none_without_a_row(
    tmp_path: Path, source: SourceSettings
) -> None:
    first, *others = read(tmp_path, source)
    assert first.landmarks is not None
    assert len(first.landmarks) == 152
    assert all(math.isnan(value) for value in first.landmarks[:2])
    assert first.landmarks[2:] == (12.5, 20.0) * 75
    assert {photo.landmarks for photo in others} == {None}
    assert {photo.problem for photo in (first, *others)} == {None}


def test_landmark_rows_without_a_photo_are_counted(
    tmp_path: Path, source: SourceSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    list(read(tmp_path, source))
    assert "muct: 1 of 2 landmark rows have a photo" in caplog.text


def test_a_bad_landmark_row_is_the_problem_of_its_photo_alone(tmp_path: Path, source: SourceSettings) -> None:
    rewrite_landmarks(tmp_path, "name,tag,x00,y00\ni000qa-fg,0,1,left\ni500qa-fg,0,1\n")
    problems = {photo.name: photo.problem for photo in read(tmp_path, source) if photo.problem}
    assert problems == {
        "jpg/i000qa-fg.jpg": "unknown landmark 'left'",
        "jpg/i500qa-fg.jpg": f"row of 3 values, not 4, in {LANDMARKS}",
    }


@pytest.mark.parametrize("text", ["name,x00,y00\n", "i000qa-fg,0,1,2\n", "ir000qa-fg,0,1,2\n"])
def test_a_landmark_table_with_other_columns_is_an_error(tmp_path: Path, source: SourceSettings, text: str) -> None:
    rewrite_landmarks(tmp_path, text)
    with pytest.raises(
        SourceError, match=r"muct76-opencv.csv does not have the columns .*expected name, tag, x00, y00"
    ):
        list(read(tmp_path, source))


def test_photos_are_read_without_landmarks_where_there_is_no_table(tmp_path: Path, source: SourceSettings) -> None:
    (tmp_path / "muct" / "muct-landmarks-v1.tar.gz").unlink()
    assert {photo.landmarks for photo in read(tmp_path, source)} == {None}
    pack(tmp_path / "muct" / "muct-landmarks-v1.tar.gz", {"README": b"1"})
    assert {photo.landmarks for photo in read(tmp_path, source)} == {None}


@pytest.mark.parametrize(
    "name", ["i00qa-fn", "i000pa-fn", "i000qf-fn", "i000qa-xn", "i000qa-fx", "x000qa-fn", "i\u0660\u0660\u0660qa-fn"]
)
def test_a_name_outside_the_code_is_a_problem(tmp_path: Path, name: str) -> None:
    pack(tmp_path / "muct" / "muct-a-jpg-v1.tar.gz", {f"jpg/{name}.jpg": b"1", "jpg/i000qa-fn.jpg": b"2"})
    photos = list(read(tmp_path, SourceSettings(reader="muct", folder="muct")))
    assert [(photo.problem, photo.label) for photo in photos] == [
        ("name is not in the MUCT code", None),
        (None, "female"),
    ]


def test_a_refused_member_is_a_row_with_its_problem(tmp_path: Path) -> None:
    pack(tmp_path / "muct" / "muct-a-jpg-v1.tar.gz", {"../i000qa-fn.jpg": b"1"})
    (photo,) = read(tmp_path, SourceSettings(reader="muct", folder="muct"))
    assert (photo.name, photo.data, photo.problem) == ("../i000qa-fn.jpg", b"", "member name leaves the archive")


@pytest.mark.parametrize("packing", [".zip", ""])
def test_other_packings_give_the_same_photos(tmp_path: Path, source: SourceSettings, packing: str) -> None:
    def by_name(root: Path, settings: SourceSettings) -> list[str]:
        return sorted(repr(photo) for photo in read(root, settings))

    (tmp_path / "other").mkdir()
    other = muct(tmp_path / "other" / "muct", packing)
    assert by_name(tmp_path / "other", other) == by_name(tmp_path, source)
