from pathlib import Path

import pytest

from gender_pipeline.errors import SourceError
from gender_pipeline.schema import Photo
from gender_pipeline.sources import SourceSettings
from gender_pipeline.sources.folder import read
from layouts import folder, noise, pack

SETTINGS = SourceSettings(reader="folder", folder="pets")


def test_the_sub_folder_is_the_class_and_each_photo_its_own_subject(tmp_path: Path) -> None:
    photos = list(read(tmp_path, folder(tmp_path / "pets")))
    assert photos[4] == Photo("dog/001.jpg", noise(4), subject_id="dog/001.jpg", label="dog")
    assert [photo.label for photo in photos] == ["cat"] * 3 + ["dog"] * 3


@pytest.mark.parametrize("packing", [".zip", ".tar.gz", ".tar"])
@pytest.mark.parametrize("outer", ["", "pets/"])
def test_an_archive_with_or_without_an_outer_folder_gives_the_same_photos(
    tmp_path: Path, packing: str, outer: str
) -> None:
    pack(tmp_path / f"pets{packing}", {f"{outer}{label}/1.jpg": b"1" for label in ("cat", "dog", "eel")})
    assert [(photo.name, photo.label) for photo in read(tmp_path, SETTINGS)] == [
        ("cat/1.jpg", "cat"), ("dog/1.jpg", "dog"), ("eel/1.jpg", "eel")
    ]  # fmt: skip


def test_the_class_is_the_first_folder_however_deep_the_photo_lies(tmp_path: Path) -> None:
    pack(tmp_path / "pets", {"pets/cat/tom/1.jpg": b"1"})
    assert [photo.label for photo in read(tmp_path, SETTINGS)] == ["cat"]


def test_a_photo_outside_the_class_folders_is_a_problem(tmp_path: Path) -> None:
    pack(tmp_path / "pets", {"pets/1.jpg": b"1"})
    assert [(photo.label, photo.problem) for photo in read(tmp_path, SETTINGS)] == [
        (None, "photo outside a class folder")
    ]


def test_the_subject_is_what_the_pattern_finds_in_the_name(tmp_path: Path) -> None:
    pack(tmp_path / "pets.zip", {"cat/tom_1.jpg": b"1", "cat/tom_2.jpg": b"2", "cat/none.jpg": b"3"})
    photos = list(read(tmp_path, SETTINGS.model_copy(update={"subject_pattern": r"/(\w+)_\d+\.jpg$"})))
    assert [photo.subject_id for photo in photos] == ["tom", "tom", "cat/none.jpg"]
    assert [photo.problem for photo in photos] == [None, None, "subject_pattern is not in the photo's name"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"subject_pattern '\(' is no regular expression: missing \)"),
        ("a", "does not say which part is the subject; expected one group; received 0 groups"),
        ("(a)(b)", "expected one group; received 2 groups"),
    ],
)
def test_a_pattern_that_is_none_with_one_group_is_an_error(tmp_path: Path, pattern: str, message: str) -> None:
    settings = folder(tmp_path / "pets").model_copy(update={"subject_pattern": pattern})
    with pytest.raises(SourceError, match=message):
        list(read(tmp_path, settings))


def test_a_refused_member_is_a_row_with_its_problem(tmp_path: Path) -> None:
    pack(tmp_path / "pets.zip", {"cat\\1.jpg": b"1", "cat/2.jpg": b""})
    assert [photo.problem for photo in read(tmp_path, SETTINGS)] == ["backslash in the member's name", "empty file"]
