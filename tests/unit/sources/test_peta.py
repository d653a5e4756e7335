from pathlib import Path

import pytest

from gender_pipeline.errors import SourceError
from gender_pipeline.schema import Photo
from gender_pipeline.sources import SourceSettings
from gender_pipeline.sources.peta import read
from layouts import noise, pack, peta

TOP = "PETA dataset"


def read_all(root: Path, labels: str, *photos: str, sub_set: str = "MIT") -> list[Photo]:
    return list(read(root, peta(root / "peta", pedestrians={sub_set: (labels, photos)})))


def test_a_photo_has_what_its_persons_line_says(tmp_path: Path) -> None:
    photos = list(read(tmp_path, peta(tmp_path / "peta")))
    assert photos[1] == Photo(
        f"{TOP}/3DPeS/archive/1_2_a.bmp",
        noise(1),
        subject_id="3DPeS/1",
        label="male",
        age_years=23.0,
        attributes={"personalLess30": 1, "hairShort": 1},
    )
    assert [photo.subject_id for photo in photos] == ["3DPeS/1", "3DPeS/1", "3DPeS/2", "CUHK/0001", "CUHK/0002"]
    assert [photo.label for photo in photos] == ["male", "male", "female", "female", "male"]
    assert [photo.problem for photo in photos] == [None] * 5


@pytest.mark.parametrize("packing", [".tar.gz", ".tar", ""])
def test_other_packings_give_the_same_photos(tmp_path: Path, packing: str) -> None:
    (tmp_path / "other").mkdir()
    other = peta(tmp_path / "other" / "peta", packing)
    expected = list(read(tmp_path, peta(tmp_path / "peta")))
    assert sorted(map(repr, read(tmp_path / "other", other))) == sorted(map(repr, expected))


@pytest.mark.parametrize(
    ("word", "age"),
    [
        ("personalLess15", 7.5),
        ("personalLess45", 38.0),
        ("personalLarger60", 80.5),
        ("hairLong", None),
        ("personalLess15 personalLess30", None),
    ],
)
def test_the_age_is_the_middle_of_the_one_bin(tmp_path: Path, word: str, age: float | None) -> None:
    (photo,) = read_all(tmp_path, f"7 personalMale {word}", "7_1.jpg")
    assert photo.age_years == age


def test_ids_are_compared_as_text_and_one_that_holds_an_underscore_comes_before_its_beginning(tmp_path: Path) -> None:
    labels = "1 personalMale\n01 personalFemale\n1_2 personalFemale"
    photos = read_all(tmp_path, labels, "1_1.jpeg", "01_1.jpeg", "1_2.jpeg")
    assert {photo.name.split("/")[-1]: photo.label for photo in photos} == {
        "1_1.jpeg": "male",
        "01_1.jpeg": "female",
        "1_2.jpeg": "female",
    }


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1 personalMale personalFemale", "both personalMale and personalFemale"),
        ("1 hairLong", "neither personalMale nor personalFemale"),
        ("1", "neither personalMale nor personalFemale"),
        ("2 personalMale\n1 personalMale\n1 personalFemale", "two different rows in MIT/archive/Label.txt"),
        ("10 personalMale", "photo without a row in MIT/archive/Label.txt"),
    ],
)
def test_what_the_lines_do_not_say_once_and_clearly_is_a_problem(tmp_path: Path, line: str, problem: str) -> None:
    photo = read_all(tmp_path, line, "1_1.jpg")[0]
    assert (photo.problem, photo.label) == (problem, None)


def test_a_line_without_a_photo_is_a_row(tmp_path: Path) -> None:
    photos = read_all(tmp_path, "1 personalMale\n2 personalFemale\n\n", "1_1.jpg")
    assert photos[1:] == [Photo("MIT/2", b"", "MIT/2", "female", problem="row without a photo")]


def test_the_same_line_twice_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    (photo,) = read_all(tmp_path, "1 personalMale\r\n1 personalMale\r", "1.jpg")
    assert (photo.label, photo.problem) == ("male", None)


def test_persons_of_two_sub_sets_are_two(tmp_path: Path) -> None:
    pedestrians = {name: (f"1 personal{label}", ("1_1.jpg",)) for name, label in (("MIT", "Male"), ("PRID", "Female"))}
    photos = list(read(tmp_path, peta(tmp_path / "peta", pedestrians=pedestrians)))
    assert {photo.subject_id: photo.label for photo in photos} == {"MIT/1": "male", "PRID/1": "female"}


def test_photos_outside_the_layout_and_refused_members_are_problems(tmp_path: Path) -> None:
    files = {
        f"{TOP}/MIT/archive/Label.txt": b"1 personalMale",
        f"{TOP}/MIT/1_1.jpg": b"1",
        "../MIT/archive/1.jpg": b"2",
    }
    pack(tmp_path / "peta" / "PETA.zip", files)
    problems = [photo.problem for photo in read(tmp_path, SourceSettings(reader="peta", folder="peta"))]
    assert problems[:2] == ["photo outside a sub-set's folder archive", "member name leaves the archive"]


def test_an_archive_without_label_files_is_an_error(tmp_path: Path) -> None:
    pack(tmp_path / "peta" / "PETA.zip", {f"{TOP}/MIT/archive/1.jpg": b"1"})
    with pytest.raises(SourceError, match=r"holds no Label.txt; expected one in the folder archive of each sub-set"):
        list(read(tmp_path, SourceSettings(reader="peta", folder="peta")))
