"""Photos are found in files, folders and archives, and become rows."""

import io
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from drawn_faces import encoded, group
from gender_pipeline.errors import SourceError
from gender_pipeline.export.photos import answer_members, count_photos, find_photos
from gender_pipeline.export.predictor import Predictor
from gender_pipeline.export.tables import Row, face_rows, rows_writer, score, text_writer
from gender_pipeline.sources.archives import ArchiveLimits

GREYS = {"a.png": 0, "b.png": 255, "inner/c.png": 51}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, grey in GREYS.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (grey,) * 3).save(path)
    return tmp_path / "photos"


def rows_of(predictor: Predictor, *paths: Path, **options: str) -> list[Row]:
    rows: list[Row] = []
    score(predictor, paths, rows.extend, **options)
    return rows


def test_a_folder_and_its_archives_have_the_same_photos_in_the_same_order(folder: Path) -> None:
    plain = list(find_photos([folder]))
    assert [photo.name for photo in plain] == [str(folder / name) for name in sorted(GREYS)]
    for packing in ("zip", "tar", "gztar"):
        archive = Path(shutil.make_archive(str(folder.with_name(packing)), packing, folder))
        packed = list(find_photos([archive]))
        assert sorted(photo.name for photo in packed) == sorted(str(archive / name) for name in GREYS)
        assert {photo.data for photo in packed} == {photo.data for photo in plain}


def test_a_file_is_taken_whatever_its_name(folder: Path) -> None:
    path = (folder / "a.png").rename(folder / "no suffix")
    (photo,) = find_photos([path])
    assert (photo.name, photo.data) == (str(path), path.read_bytes())


def test_what_does_not_exist_is_an_error_before_anything_is_read(folder: Path) -> None:
    with pytest.raises(SourceError, match="nowhere does not exist; expected a photo, a folder or an archive"):
        find_photos([folder, folder / "nowhere"])


def test_photos_are_counted_without_being_read(folder: Path) -> None:
    (folder / "notes.txt").write_text("no photo")
    assert count_photos([folder, folder / "a.png"]) == 4
    archive = Path(shutil.make_archive(str(folder), "zip", folder))
    assert count_photos([archive]) is None


def test_a_file_over_the_limit_is_a_problem_and_is_not_held_in_memory(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"\x89PNG" + bytes(2**20))
    (photo,) = find_photos([folder / "a.png"], ArchiveLimits(max_member_mib=1))
    assert (photo.data, photo.problem) == (b"", "larger than 1 MiB")


def test_rows_say_what_the_network_said(by_light: Predictor, folder: Path) -> None:
    table = pd.DataFrame(rows_of(by_light, folder)).set_index("photo")
    assert list(table.index) == [str(folder / name) for name in sorted(GREYS)]
    assert list(table["label"]) == ["dark", "light", "dark"]
    assert table["p_light"].to_numpy() == pytest.approx([0, 1, 0.2], abs=1e-6)
    assert table["probability"].to_numpy() == pytest.approx([1, 1, 0.8], abs=1e-6)
    assert table[["x", "problem"]].isna().all(axis=None)


def test_many_photos_keep_their_order_and_their_answers(by_light: Predictor, tmp_path: Path) -> None:
    for grey in range(100):
        Image.new("L", (8, 8), grey * 2).save(tmp_path / f"{grey:03}.png")
    found = [row["p_light"] * 255 / 2 for row in rows_of(by_light, tmp_path)]
    assert found == pytest.approx(range(100), abs=1e-3)


def test_a_photo_with_two_faces_is_two_rows_and_one_without_is_a_row_that_says_so(
    by_light: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "none.jpg").write_bytes(encoded(group([])))
    (tmp_path / "two.jpg").write_bytes(encoded(group([(20, 20), (500, 200)])))
    (tmp_path / "text.jpg").write_bytes(b"text")
    none, text, *two = rows_of(by_light, tmp_path, crop="face")
    assert (none["problem"], none["label"], none["p_dark"]) == ("no face", None, None)
    assert text["problem"] == "not an image: neither JPEG, PNG, BMP nor WebP"
    assert [row["face"] for row in two] == [1, 2]
    assert two[0]["width"] * two[0]["height"] >= two[1]["width"] * two[1]["height"]


def test_a_refused_member_of_an_archive_is_a_row_with_its_problem(by_light: Predictor, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../escape.png", encoded(Image.new("RGB", (9, 9))))
        archive.writestr("good.png", encoded(Image.new("RGB", (9, 9)), "PNG"))
    refused, good = rows_of(by_light, tmp_path / "bad.zip")
    assert refused["problem"] == "member name leaves the archive"
    assert good["label"] == "dark"


def test_counts_tell_answers_from_problems(by_light: Predictor, folder: Path) -> None:
    (folder / "text.jpg").write_bytes(b"text")
    (folder / "none.jpg").write_bytes(encoded(group([])))
    tally = score(by_light, [folder], lambda _: None, crop="face")
    assert tally.counts() == {"photos": 5, "faces": 0, "without_face": 4, "unreadable": 1}
    tally = score(by_light, [folder], lambda _: None)
    assert tally.counts() == {
        "photos": 5, "faces": 4, "without_face": 0, "unreadable": 1, "answers.dark": 2, "answers.light": 2,
    }  # fmt: skip


def test_csv_json_and_parquet_hold_the_same(by_light: Predictor, folder: Path, tmp_path: Path) -> None:
    (folder / "text.jpg").write_bytes(b"text")
    for output in ("csv", "json", "parquet"):
        with rows_writer(output, tmp_path / output, by_light.class_names) as write:
            score(by_light, [folder], write)
    table, parquet = pd.read_csv(tmp_path / "csv"), pd.read_parquet(tmp_path / "parquet")
    assert list(table.columns) == list(parquet.columns)
    assert list(table["photo"]) == list(parquet["photo"])
    assert table["p_light"].to_numpy() == pytest.approx(parquet["p_light"].to_numpy(), nan_ok=True)
    lines = [json.loads(line) for line in (tmp_path / "json").read_text().splitlines()]
    assert [line["photo"] for line in lines] == list(table["photo"])
    assert [face["label"] for line in lines for face in line["faces"]] == list(table["label"].dropna())
    assert [line["problem"] is None for line in lines] == list(table["problem"].isna())


@pytest.mark.parametrize("output", ["csv", "json", "parquet"])
def test_a_writing_that_fails_leaves_the_former_file(by_light: Predictor, tmp_path: Path, output: str) -> None:
    (tmp_path / "rows").write_text("former")
    with pytest.raises(KeyboardInterrupt), rows_writer(output, tmp_path / "rows", by_light.class_names):
        raise KeyboardInterrupt
    assert (tmp_path / "rows").read_text() == "former"
    assert len(list(tmp_path.iterdir())) == 1


def test_csv_quotes_what_would_break_it(by_light: Predictor) -> None:
    name = 'a, "b"\n.png'
    file = io.StringIO(newline="")
    (answer,) = by_light.answer([encoded(Image.new("RGB", (9, 9)))])
    text_writer("csv", file, by_light.class_names)(face_rows(name, answer, by_light.class_names))
    file.seek(0)
    assert pd.read_csv(file)["photo"].item() == name


@pytest.mark.parametrize("output", ["csv", "json", "parquet"])
def test_a_name_that_is_no_utf_8_can_be_written_all_the_same(by_light: Predictor, tmp_path: Path, output: str) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.new("RGB", (9, 9)).save(path, "PNG")
    with rows_writer(output, tmp_path / "rows", by_light.class_names) as write:
        score(by_light, [path], write)
    assert b"caf?.png" in (tmp_path / "rows").read_bytes()


def test_photos_are_read_as_they_are_needed(by_light: Predictor, folder: Path) -> None:
    photos = iter(list(find_photos([folder / "a.png"])) * 500)
    next(answer_members(by_light, photos))
    assert sum(1 for _ in photos) > 400
