from pathlib import Path

import pytest

from gender_pipeline.errors import SourceError
from gender_pipeline.schema import Photo
from gender_pipeline.sources import SourceSettings
from gender_pipeline.sources.age_gender import age_in_years, read
from gender_pipeline.sources.tables import RowError
from layouts import FACES, FOLD_COLUMNS, age_gender, face_path, fold_table, noise, pack

SETTINGS = SourceSettings(reader="age_gender", folder="age_gender")
TAR = "agegender_cleaned.tar.gz"


def write(root: Path, files: dict[str, bytes], name: str = TAR) -> None:
    pack(root / "age_gender" / name, files)


def test_a_photo_has_what_its_row_says(tmp_path: Path) -> None:
    photos = list(read(tmp_path, age_gender(tmp_path / "age_gender")))
    assert photos[0] == Photo(
        "agegender_cleaned/aligned/7@N01/landmark_aligned_face.1.9_a_o.jpg",
        noise(0),
        subject_id="7@N01",
        label="female",
        age_years=28.5,
        attributes={"tilt_ang": 5.0, "fiducial_yaw_angle": -15.0, "fiducial_score": 76.0},
        official_split="fold_2",
    )
    assert [photo.label for photo in photos] == ["female", "female", "male", None, None]
    assert [photo.age_years for photo in photos] == [28.5, 35.0, None, 1.0, 10.0]
    assert {photo.problem for photo in photos} == {None}


@pytest.mark.parametrize("tables", ["first", "last", "beside"])
@pytest.mark.parametrize("packing", [".tar.gz", ".zip", ""])
def test_the_tables_may_lie_before_after_or_beside_the_photos_in_any_packing(
    tmp_path: Path, tables: str, packing: str
) -> None:
    expected = sorted(repr(photo) for photo in read(tmp_path, age_gender(tmp_path / "age_gender")))
    (tmp_path / "other").mkdir()
    other = age_gender(tmp_path / "other" / "age_gender", packing, tables=tables)
    assert sorted(repr(photo) for photo in read(tmp_path / "other", other)) == expected


@pytest.mark.parametrize("top", ["", "a/b/"])
@pytest.mark.parametrize("kind", ["aligned/{}/landmark_aligned_face", "faces/{}/coarse_tilt_aligned_face"])
def test_aligned_and_tilted_faces_are_found_below_any_folder(tmp_path: Path, top: str, kind: str) -> None:
    photos = {top + face_path(face, kind).removeprefix("agegender_cleaned/"): b"1" for face in FACES}
    write(tmp_path, {**photos, "fold_0_data.txt": fold_table(list(FACES))})
    assert {photo.problem for photo in read(tmp_path, SETTINGS)} == {None}


def test_a_row_may_have_both_an_aligned_and_a_tilted_photo(tmp_path: Path) -> None:
    photos = {face_path(FACES[0]): b"1", face_path(FACES[0], "faces/{}/coarse_tilt_aligned_face"): b"2"}
    write(tmp_path, {**photos, "fold_0_data.txt": fold_table([FACES[0]])})
    assert [(photo.label, photo.problem) for photo in read(tmp_path, SETTINGS)] == [("female", None)] * 2


@pytest.mark.parametrize("name", ["aligned", "faces"])
def test_the_authors_own_archives_with_tables_beside_are_read(tmp_path: Path, name: str) -> None:
    write(tmp_path, {face_path(FACES[0]).removeprefix("agegender_cleaned/"): b"1"}, f"{name}.tar.gz")
    (tmp_path / "age_gender" / "fold_3_data.txt").write_bytes(fold_table([FACES[0]]).replace(b"\n", b"\r\n"))
    (photo,) = read(tmp_path, SETTINGS)
    assert (photo.official_split, photo.label) == ("fold_3", "female")


def test_rows_without_a_photo_and_photos_without_a_row_are_problems_of_their_subject(tmp_path: Path) -> None:
    write(tmp_path, {face_path(FACES[0]): b"1", "aligned/x.jpg": b"2", "fold_0_data.txt": fold_table([FACES[2]])})
    assert [(photo.subject_id, photo.label, photo.problem) for photo in read(tmp_path, SETTINGS)] == [
        ("7@N01", None, "photo without a row in the fold tables"),
        ("aligned/x.jpg", None, "name is not one of an Adience photo"),
        ("8@N02", "male", "row without a photo"),
    ]


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("gender", "x", "unknown label 'x'"),
        ("age", "old", "unknown age 'old'"),
        ("age", "(25, 320)", "unknown age '\\(25, 320\\)'"),
        ("tilt_ang", "left", "unknown tilt_ang 'left'"),
        ("gender", "f\tf", "row of 13 values, not 12, in fold_0_data.txt"),
    ],
)
def test_a_bad_value_is_the_problem_of_its_photo_alone(tmp_path: Path, column: str, value: str, problem: str) -> None:
    header, row, *others = fold_table(list(FACES)).decode().splitlines()
    values = row.split("\t")
    values[FOLD_COLUMNS.index(column)] = value
    table = "\n".join([header, "\t".join(values), *others]).encode()
    write(tmp_path, {**{face_path(face): b"1" for face in FACES}, "fold_0_data.txt": table})
    assert [photo.problem for photo in read(tmp_path, SETTINGS)] == [problem.replace("\\", ""), *[None] * 4]


@pytest.mark.parametrize(
    ("text", "age"),
    [("(25, 32)", 28.5), ("(0, 2)", 1.0), ("(60,100)", 80.0), ("35", 35.0), ("0", 0.0), ("None", None), ("", None)],
)
def test_an_age_is_the_middle_of_its_bin_a_year_or_none(text: str, age: float | None) -> None:
    assert age_in_years(text) == age


@pytest.mark.parametrize("text", ["25, 32", "-1", "1.5", "131", "9" * 5000, "٣"])
def test_what_is_no_age_is_a_row_error(text: str) -> None:
    with pytest.raises(RowError, match="unknown age"):
        age_in_years(text)


def test_a_row_in_two_folds_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {f"fold_{fold}_data.txt": fold_table([FACES[0]]) for fold in (0, 1)})
    with pytest.raises(
        SourceError, match=r"fold_1_data.txt: rows that another fold has too; received 7@N01/1/9_a_o.jpg"
    ):
        list(read(tmp_path, SETTINGS))


def test_photos_without_any_table_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, {face_path(FACES[0]): b"1"})
    with pytest.raises(
        SourceError, match=r"no rows of fold tables; expected fold_0_data.txt to .* in agegender_cleaned"
    ):
        list(read(tmp_path, SETTINGS))


def test_a_table_without_the_columns_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"fold_0_data.txt": b"user_id\tage\n1\t2\n"})
    with pytest.raises(
        SourceError, match=r"fold_0_data.txt does not have .* received user_id, age; use the data set's"
    ):
        list(read(tmp_path, SETTINGS))
