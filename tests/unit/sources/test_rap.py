from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gender_pipeline.errors import SourceError
from gender_pipeline.schema import Photo
from gender_pipeline.sources import SourceSettings
from gender_pipeline.sources.rap import read
from layouts import RAP_NAMES, noise, pack, rap, rap_annotation

TRACK = "CAM01-2014-02-15-20140215161032-20140215162620-tarid0"
SETTINGS = SourceSettings(reader="rap", folder="rap")


def read_changed(root: Path, **changes: Any) -> list[Photo]:
    return list(read(root, rap(root / "rap", **changes)))


def test_a_photo_has_what_its_row_says(tmp_path: Path) -> None:
    photos = read_changed(tmp_path)
    assert photos[0] == Photo(
        f"RAP_dataset/{RAP_NAMES[0]}",
        noise(0),
        subject_id=TRACK,
        label="male",
        age_years=23.5,
        attributes={"Age17-30": 1},
        official_split="train",
    )
    assert [photo.label for photo in photos] == ["male", "male", "female", None]
    assert [photo.official_split for photo in photos] == ["train", "train", "train", "test"]
    assert photos[3].attributes == {"Female": 2, "hs-LongHair": 2}
    assert {photo.problem for photo in photos} == {None}


def test_photos_of_one_track_are_one_subject_whatever_joins_the_names_parts(tmp_path: Path) -> None:
    subjects = [photo.subject_id for photo in read_changed(tmp_path)]
    assert subjects[:2] == [TRACK] * 2
    assert subjects[2] == "CAM31_2014-03-18_20140318125002-20140318125546_tarid91"
    assert len(set(subjects)) == 3


def test_a_name_without_a_track_is_its_own_subject(tmp_path: Path) -> None:
    names = ("one.png", *RAP_NAMES[1:])
    settings = rap(tmp_path / "rap", imagesname=names)
    pack(tmp_path / "rap" / "RAP_dataset.zip", {"RAP_dataset/one.png": noise(0)})
    assert next(read(tmp_path, settings)).subject_id == "RAP_dataset/one.png"


def test_the_second_version_of_the_data_set_is_read_with_its_persons(tmp_path: Path) -> None:
    attributes = ("Femal", "AgeLess16", "Age17-30", "hs-LongHair")
    values = np.array([[0, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 1], [1, 0, 0, 2]], float)
    old = dict.fromkeys(("imagesname", "label", "attribute_eng", "partition"))
    partition = ({"train_index": np.array([[1, 2]]), "val_index": np.array([[3]]), "test_index": np.array([[4]])},)
    photos = read_changed(
        tmp_path, **old, name=RAP_NAMES, data=values, attribute=attributes, partition_attribute=partition,
        person_identity=np.array([[12], [12], [-1], [7]]),
    )  # fmt: skip
    assert [photo.label for photo in photos] == ["male", "male", "female", "female"]
    assert [photo.official_split for photo in photos] == ["train", "train", "validation", "test"]
    assert [photo.subject_id for photo in photos][:2] == ["12", "12"]
    assert photos[2].subject_id.startswith("CAM31")


@pytest.mark.parametrize("packing", [".tar.gz", ""])
def test_other_packings_give_the_same_photos(tmp_path: Path, packing: str) -> None:
    (tmp_path / "other").mkdir()
    other = list(read(tmp_path / "other", rap(tmp_path / "other" / "rap", packing)))
    assert sorted(map(repr, other)) == sorted(map(repr, read_changed(tmp_path)))


def test_the_annotation_file_may_lie_beside_the_photos(tmp_path: Path) -> None:
    expected = read_changed(tmp_path)
    (tmp_path / "rap" / "RAP_annotation.zip").unlink()
    (tmp_path / "rap" / "RAP_annotation.mat").write_bytes(rap_annotation(compress=False))
    assert list(read(tmp_path, SETTINGS)) == expected


def test_photos_without_a_row_rows_without_a_photo_and_second_photos_are_problems(tmp_path: Path) -> None:
    rap(tmp_path / "rap")
    first, second = (f"RAP_dataset/{name}" for name in RAP_NAMES[:2])
    pack(
        tmp_path / "rap" / "RAP_dataset.zip",
        {first: b"1", f"copy/{RAP_NAMES[0]}": b"1", "RAP_dataset/new.png": b"2", f"../{RAP_NAMES[1]}": b"3"},
    )
    photos = list(read(tmp_path, SETTINGS))
    assert [photo.problem for photo in photos] == [
        None, "second photo of one row", "photo without a row in RAP_annotation.mat", "member name leaves the archive",
        "row without a photo", "row without a photo",
    ]  # fmt: skip
    assert second not in [photo.name for photo in photos]
    assert photos[4].name == f"RAP_dataset/{RAP_NAMES[2]}"
    assert photos[4].label == "female"


def test_a_value_that_is_no_answer_is_the_problem_of_its_photo_alone(tmp_path: Path) -> None:
    photos = read_changed(tmp_path, label=np.array([[7, 0, 0, 0], *[[0, 0, 0, 0]] * 3]))
    assert [photo.problem for photo in photos] == ["unknown label 7", None, None, None]


@pytest.mark.parametrize(
    ("changes", "received"),
    [
        ({"imagesname": None}, "no texts in imagesname or name"),
        ({"imagesname": (1.0, 2.0)}, "no texts in imagesname or name"),
        ({"imagesname": (RAP_NAMES[0],) * 4}, "3 names twice"),
        ({"attribute_eng": ("Hat", "Bag", "Boots", "Long")}, "attributes Hat, Bag, Boots, Long"),
        ({"label": np.zeros((3, 4))}, r"\(3, 4\) values for 4 x 4"),
        ({"label": np.full((4, 4), np.nan)}, r"values for 4 x 4"),
        ({"label": None}, "no values for 4 x 4"),
        ({"partition": ({"train_index": np.array([[0, 1]])},)}, "index 0 in train_index of 4 photos"),
        ({"partition": ({"test_index": np.array([[np.inf]])},)}, "index inf in test_index of 4 photos"),
    ],
)
def test_an_annotation_file_of_another_content_is_an_error(
    tmp_path: Path, changes: dict[str, Any], received: str
) -> None:
    with pytest.raises(SourceError, match=rf"RAP_annotation.mat is not RAP's.*expected the struct.*{received}"):
        read_changed(tmp_path, **changes)


def test_without_a_partition_there_is_no_official_split(tmp_path: Path) -> None:
    assert {photo.official_split for photo in read_changed(tmp_path, partition=None)} == {None}


def test_a_missing_struct_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no variable RAP_annotation"):
        read_changed(tmp_path, variable="other")
    pack(tmp_path / "rap" / "RAP_annotation.zip", {"README": b"1"})
    with pytest.raises(SourceError, match=r"holds no RAP_annotation.mat; put RAP_annotation.mat there"):
        list(read(tmp_path, SETTINGS))


def test_a_matlab_7_3_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    rap(tmp_path / "rap")
    pack(tmp_path / "rap" / "RAP_annotation.zip", {"RAP_annotation.mat": b"MATLAB 7.3 MAT-file".ljust(600)})
    with pytest.raises(SourceError, match=r"RAP_annotation.mat is a MATLAB 7.3 \(HDF5\) file.*-v7"):
        list(read(tmp_path, SETTINGS))
