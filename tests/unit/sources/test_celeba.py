from pathlib import Path

import pytest

from gender_pipeline.errors import SourceError
from gender_pipeline.schema import Photo
from gender_pipeline.sources import SourceSettings
from gender_pipeline.sources.celeba import class_name, read
from layouts import celeba, noise, pack, write_table

ATTRIBUTES, IDENTITIES, PARTITIONS = "list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt"


@pytest.fixture
def source(tmp_path: Path) -> SourceSettings:
    return celeba(tmp_path / "celeba")


def edit(root: Path, name: str, old: str, new: str) -> None:
    path = root / "celeba" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def problems(root: Path, settings: SourceSettings) -> dict[str, str]:
    return {photo.name.split("/")[-1]: photo.problem for photo in read(root, settings) if photo.problem}


def test_a_photo_has_what_the_three_tables_say(tmp_path: Path, source: SourceSettings) -> None:
    photos = list(read(tmp_path, source))
    assert photos[3] == Photo(
        "img_align_celeba/000003.jpg",
        noise(3),
        subject_id="1",
        label="male",
        attributes={"Male": 1, "Young": -1, "Smiling": -1},
        official_split="train",
    )
    assert [photo.label for photo in photos] == ["female", "male"] * 3
    assert [photo.official_split for photo in photos] == ["train", "validation", "test"] * 2


@pytest.mark.parametrize("packing", [".tar.gz", ".tar", ""])
def test_other_packings_give_the_same_photos(tmp_path: Path, source: SourceSettings, packing: str) -> None:
    (tmp_path / "other").mkdir()
    other = celeba(tmp_path / "other" / "celeba", packing)
    assert list(read(tmp_path / "other", other)) == list(read(tmp_path, source))


def test_the_csv_tables_give_the_same_photos(tmp_path: Path, source: SourceSettings) -> None:
    expected = list(read(tmp_path, source))
    columns = {
        ATTRIBUTES: "image_id,Male,Young,Smiling",
        IDENTITIES: "image_id,identity",
        PARTITIONS: "image_id,partition",
    }
    for name, header in columns.items():
        path = tmp_path / "celeba" / name
        rows = [",".join(line.split()) for line in path.read_text().splitlines() if line.startswith("0")]
        write_table(path.with_suffix(".csv"), ["\ufeff" + header, *rows], newline="\r\n")
        path.unlink()
    assert list(read(tmp_path, source)) == expected


def test_csv_tables_without_a_header_and_zero_for_minus_one_are_read(tmp_path: Path, source: SourceSettings) -> None:
    expected = list(read(tmp_path, source))
    path = tmp_path / "celeba" / PARTITIONS
    path.write_text(path.read_text().replace(" ", ","))
    edit(tmp_path, ATTRIBUTES, "-1", "0")
    assert list(read(tmp_path, source)) == expected


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, source: SourceSettings) -> None:
    expected = list(read(tmp_path, source))
    for name in (ATTRIBUTES, IDENTITIES, PARTITIONS):
        path = tmp_path / "celeba" / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert list(read(tmp_path, source)) == expected


@pytest.mark.parametrize(
    ("label", "values", "name"),
    [
        (("Male",), {"Male": 1}, "male"),
        (("Male",), {"Male": -1}, "female"),
        (("Young",), {"Young": -1}, "not_young"),
        (("Male", "Young"), {"Male": -1, "Young": 1}, "female+young"),
        (("Young", "Male"), {"Male": 1, "Young": -1}, "not_young+male"),
    ],
)
def test_the_class_is_composed_of_the_attributes_in_the_order_given(
    label: tuple[str, ...], values: dict[str, int], name: str
) -> None:
    assert class_name(label, values) == name


def test_male_and_young_make_four_classes(tmp_path: Path, source: SourceSettings) -> None:
    photos = read(tmp_path, source.model_copy(update={"label": ("Male", "Young")}))
    assert [photo.label for photo in photos][:4] == ["female+young", "male+young", "female+not_young", "male+not_young"]


@pytest.mark.parametrize("label", [("Beard",), ("Male", "Male")])
def test_an_unknown_or_doubled_attribute_is_an_error_that_lists_the_known(
    tmp_path: Path, source: SourceSettings, label: tuple[str, ...]
) -> None:
    with pytest.raises(SourceError, match=rf"{label[0]}.* cannot be composed; expected some of Male, Young, Smiling"):
        list(read(tmp_path, source.model_copy(update={"label": label})))


def test_rows_without_a_photo_and_photos_without_a_row_are_problems(tmp_path: Path, source: SourceSettings) -> None:
    edit(tmp_path, ATTRIBUTES, "000004.jpg", "000009.jpg")
    edit(tmp_path, IDENTITIES, "000002.jpg", "000008.jpg")
    edit(tmp_path, PARTITIONS, "000001.jpg", "000007.jpg")
    assert problems(tmp_path, source) == {
        "000001.jpg": "photo without a row in list_eval_partition.txt",
        "000002.jpg": "photo without a row in identity_CelebA.txt",
        "000004.jpg": "photo without a row in list_attr_celeba.txt",
        "000009.jpg": "row without a photo",
    }


@pytest.mark.parametrize(
    ("table", "old", "new", "problem"),
    [
        (ATTRIBUTES, "000000.jpg -1  1 -1", "000000.jpg  5  1 -1", "unknown label '5' in list_attr_celeba.txt"),
        (ATTRIBUTES, "000000.jpg -1  1 -1", "000000.jpg -1 -1", "row of 3 values, not 4, in list_attr_celeba.txt"),
        (PARTITIONS, "000000.jpg 0", "000000.jpg 7", "unknown label '7' in list_eval_partition.txt"),
        (IDENTITIES, "000000.jpg 0", "000000.jpg 0 0", "row of 3 values, not 2, in identity_CelebA.txt"),
    ],
)
def test_a_bad_row_is_the_problem_of_its_photo_alone(
    tmp_path: Path, source: SourceSettings, table: str, old: str, new: str, problem: str
) -> None:
    edit(tmp_path, table, old, new)
    assert problems(tmp_path, source) == {"000000.jpg": problem}


def test_a_second_photo_of_one_row_is_refused_and_a_refused_one_does_not_take_the_row(
    tmp_path: Path, source: SourceSettings
) -> None:
    photo = {f"{folder}/000000.jpg": b"1" for folder in ("..", "img_align_celeba", "copy")}
    pack(tmp_path / "celeba" / "img_align_celeba.zip", photo)
    found = {photo.name: photo.problem for photo in read(tmp_path, source)}
    assert list(found.values())[:3] == ["member name leaves the archive", None, "second photo of one row"]
    assert set(list(found.values())[3:]) == {"row without a photo"}
    assert len(found) == 3 + 5


@pytest.mark.parametrize("name", [ATTRIBUTES, IDENTITIES, PARTITIONS])
def test_a_missing_table_is_an_error_that_says_where_to_get_it(
    tmp_path: Path, source: SourceSettings, name: str
) -> None:
    (tmp_path / "celeba" / name).unlink()
    stem = name.removesuffix(".txt")
    with pytest.raises(SourceError, match=rf"{stem} is missing; expected {stem}.txt or {stem}.csv; it is in CelebA's"):
        list(read(tmp_path, source))


def test_fewer_rows_than_the_count_line_says_are_an_error(tmp_path: Path, source: SourceSettings) -> None:
    edit(tmp_path, ATTRIBUTES, "6\n", "202599\n")
    with pytest.raises(
        SourceError, match=r"is cut or mixed up; expected the 202599 rows it announces; received 6 rows"
    ):
        list(read(tmp_path, source))


@pytest.mark.parametrize("content", ["6\n", "6\nMale Male\n000000.jpg 1 1\n", "image_id,image_id\n", "9" * 5000])
def test_an_attribute_table_without_attributes_is_an_error(
    tmp_path: Path, source: SourceSettings, content: str
) -> None:
    (tmp_path / "celeba" / ATTRIBUTES).write_text(content)
    with pytest.raises(SourceError, match=r"list_attr_celeba.txt|cannot be composed"):
        list(read(tmp_path, source))


def test_a_partition_table_with_another_column_is_an_error(tmp_path: Path, source: SourceSettings) -> None:
    (tmp_path / "celeba" / PARTITIONS).write_text("image_id,split\n000000.jpg,0\n")
    with pytest.raises(SourceError, match="expected image_id, partition, each once; received image_id, split"):
        list(read(tmp_path, source))
