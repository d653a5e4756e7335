"""The built-in sample: the same bytes for the same settings, real layouts, real dirt, and one reader for all of it."""

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from gender_pipeline.errors import SourceError
from gender_pipeline.schema import Photo
from gender_pipeline.sources import SourceSettings, read_photos, sample
from gender_pipeline.sources.sample import SampleSettings, draw_sample, read

SETTINGS = SampleSettings(n_subjects=34)
SOURCE = SourceSettings(reader="sample", folder="sample")
ARCHIVES = {
    "README.txt",
    "sample.json",
    "age_gender/agegender_cleaned.tar.gz",
    "celeba/identity_CelebA.txt",
    "celeba/img_align_celeba.zip",
    "celeba/list_attr_celeba.txt",
    "celeba/list_eval_partition.txt",
    "muct/muct-landmarks-v1.tar.gz",
    *(f"muct/muct-{camera}-jpg-v1.tar.gz" for camera in "abcde"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    draw_sample(SETTINGS, folder / "sample")
    return folder


@pytest.fixture(scope="module")
def photos(root: Path) -> list[Photo]:
    return list(read_photos(root, SOURCE))


@pytest.fixture(scope="module")
def tables(root: Path) -> dict[str, list[str]]:
    return {path.stem: path.read_text().splitlines() for path in (root / "sample/celeba").glob("*.txt")}


def digests_of(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def members_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def decodes(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
    except OSError:
        return False
    return True


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    few = SampleSettings(n_subjects=5)
    for name in ("first", "second"):
        draw_sample(few, tmp_path / name)
    assert digests_of(tmp_path / "first") == digests_of(tmp_path / "second")
    assert set(digests_of(tmp_path / "first")) == ARCHIVES


def test_another_seed_gives_other_photos(tmp_path: Path) -> None:
    for seed in (1, 2):
        draw_sample(SampleSettings(n_subjects=3, seed=seed), tmp_path / str(seed))
    first, second = (digests_of(tmp_path / str(seed)) for seed in (1, 2))
    assert {name for name in first if first[name] == second[name]} <= {
        "README.txt", "celeba/list_eval_partition.txt", "celeba/identity_CelebA.txt"
    }  # fmt: skip


def test_more_subjects_keep_the_earlier_photos(tmp_path: Path, photos: list[Photo]) -> None:
    draw_sample(SampleSettings(n_subjects=20), tmp_path / "sample")
    later = {photo.name: photo for photo in photos}
    earlier = list(read_photos(tmp_path, SOURCE))
    assert len(earlier) < len(photos)
    assert [photo.name for photo in earlier if later[photo.name].data != photo.data] == []
    assert [photo.name for photo in earlier if later[photo.name].label != photo.label] == []


def test_archives_carry_no_time_and_no_owner(root: Path) -> None:
    path = root / "sample/muct/muct-a-jpg-v1.tar.gz"
    assert path.read_bytes()[4:8] == bytes(4), "gzip's own time"
    with gzip.open(path) as stream, tarfile.open(fileobj=stream) as archive:
        assert {(member.mtime, member.uid, member.uname) for member in archive} == {(0, 0, "")}
    with zipfile.ZipFile(root / "sample/celeba/img_align_celeba.zip") as archive:
        assert {info.date_time for info in archive.infolist()} == {(2015, 9, 24, 0, 0, 0)}


def test_a_drawn_sample_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = SampleSettings(n_subjects=3)
    draw_sample(few, tmp_path / "sample")
    before = digests_of(tmp_path / "sample")
    monkeypatch.setattr(sample, "draw_photo", _refuse)
    draw_sample(few, tmp_path / "sample")
    assert digests_of(tmp_path / "sample") == before


@pytest.mark.parametrize("damage", ["changed archive", "missing table", "no marker", "marker no JSON", "marker a list"])
def test_a_damaged_sample_is_drawn_anew(tmp_path: Path, damage: str) -> None:
    few, folder = SampleSettings(n_subjects=3), tmp_path / "sample"
    draw_sample(few, folder)
    before = digests_of(folder)
    {
        "changed archive": lambda: (folder / "celeba/img_align_celeba.zip").write_bytes(b"PK"),
        "missing table": (folder / "celeba/list_attr_celeba.txt").unlink,
        "no marker": (folder / "sample.json").unlink,
        "marker no JSON": lambda: (folder / "sample.json").write_text("{"),
        "marker a list": lambda: (folder / "sample.json").write_text("[]"),
    }[damage]()
    draw_sample(few, folder)
    assert digests_of(folder) == before


def test_other_settings_replace_the_whole_sample(tmp_path: Path) -> None:
    draw_sample(SampleSettings(n_subjects=3), tmp_path / "sample")
    draw_sample(SampleSettings(n_subjects=1), tmp_path / "sample")
    assert not (tmp_path / "sample/muct").exists()
    assert json.loads((tmp_path / "sample/sample.json").read_text())["settings"]["n_subjects"] == 1


def test_a_killed_drawing_leaves_the_old_sample_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_sample(SampleSettings(n_subjects=3), tmp_path / "sample")
    before = digests_of(tmp_path)
    drawn = iter(range(6))
    real = sample.draw_photo
    monkeypatch.setattr(sample, "draw_photo", lambda *args: real(*args) if next(drawn, None) is not None else _refuse())
    with pytest.raises(KeyboardInterrupt):
        draw_sample(SampleSettings(n_subjects=6), tmp_path / "sample")
    assert digests_of(tmp_path) == before


def test_a_killed_first_drawing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "draw_photo", _refuse)
    with pytest.raises(KeyboardInterrupt):
        draw_sample(SampleSettings(n_subjects=3), tmp_path / "sample")
    assert list(tmp_path.iterdir()) == []


def _refuse(*_: object) -> bytes:
    raise KeyboardInterrupt


def test_no_subjects_draw_nothing(tmp_path: Path) -> None:
    draw_sample(SampleSettings(n_subjects=0), tmp_path / "sample")
    assert not (tmp_path / "sample").exists()


@pytest.mark.parametrize("wrong", [{"n_subjects": -1}, {"n_subjects": 5001}, {"label_noise": 0.6}, {"subjects": 3}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SampleSettings(**wrong)


def test_the_readme_says_that_nobody_is_real(root: Path) -> None:
    assert "no photo shows a real person" in (root / "sample/README.txt").read_text()


def test_the_attribute_table_looks_like_celebas(tables: dict[str, list[str]]) -> None:
    count, header, *rows = tables["list_attr_celeba"]
    assert int(count) == len(rows)
    assert header.startswith("5_o_Clock_Shadow Arched_Eyebrows ")
    assert header.endswith(" Wearing_Necktie Young ")
    assert len(header.split()) == 40
    assert {len(row.split()) for row in rows} == {41}
    assert {value for row in rows for value in row.split()[1:]} == {"1", "-1"}
    assert all(row[10:13] in (" -1", "  1") for row in rows), "values are two characters wide"


def test_celebas_photos_have_its_size_and_its_tables_a_row_each(root: Path, tables: dict[str, list[str]]) -> None:
    with zipfile.ZipFile(root / "sample/celeba/img_align_celeba.zip") as archive:
        names = [name.removeprefix("img_align_celeba/") for name in archive.namelist()]
        assert Image.open(io.BytesIO(archive.read(archive.namelist()[0]))).size == (178, 218)
    assert names == [f"{number:06d}.jpg" for number in range(1, len(names) + 1)]
    for table in ("identity_CelebA", "list_eval_partition"):
        assert [row.split()[0] for row in tables[table]] == names


def test_celebas_partitions_are_all_there_and_share_no_identity(tables: dict[str, list[str]]) -> None:
    partition = dict(row.split() for row in tables["list_eval_partition"])
    identities = {number: set() for number in "012"}
    for row in tables["identity_CelebA"]:
        name, identity = row.split()
        identities[partition[name]].add(identity)
    assert all(identities.values())
    assert sum(map(len, identities.values())) == len(set.union(*identities.values())) == 16


def test_mucts_cameras_see_the_same_subjects(root: Path) -> None:
    names = {}
    for camera in "abcde":
        members = members_of(root / f"sample/muct/muct-{camera}-jpg-v1.tar.gz")
        names[camera] = [name.replace(f"{camera}-", "?-") for name in members]
        assert Image.open(io.BytesIO(next(iter(members.values())))).size == (240, 320)
    assert len({tuple(each) for each in names.values()}) == 1
    assert names["a"][0].startswith("jpg/i000q?-f")


def test_the_landmark_table_looks_like_mucts_and_lacks_rows(root: Path, photos: list[Photo]) -> None:
    table = members_of(root / "sample/muct/muct-landmarks-v1.tar.gz")["muct-landmarks/muct76-opencv.csv"].decode()
    header, *rows = table.splitlines()
    assert header.startswith("name,tag,x00,y00,x01,")
    assert header.endswith(",x75,y75")
    assert {row.count(",") for row in rows} == {1 + 2 * 76}
    seen = Counter(photo.landmarks is not None for photo in photos if photo.name.startswith("muct/"))
    assert seen == {True: len(rows), False: 5}


def test_the_fold_tables_look_like_adiences(root: Path) -> None:
    members = members_of(root / "sample/age_gender/agegender_cleaned.tar.gz")
    rows = []
    for fold in range(5):
        header, *lines = members[f"agegender_cleaned/fold_{fold}_data.txt"].decode().splitlines()
        assert header.split("\t")[:5] == ["user_id", "original_image", "face_id", "age", "gender"]
        rows += [line.split("\t") for line in lines]
    assert {len(row) for row in rows} == {12}
    assert {row[4] for row in rows} <= {"f", "m", "u", ""}
    ages = {row[3] for row in rows}
    assert any(age.startswith("(") for age in ages)
    assert any(age.isdecimal() for age in ages)


def test_full_sized_fold_tables_have_unknown_genders_and_ages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sample, "draw_photo", lambda *_: b"not drawn")
    monkeypatch.setattr(sample, "_DEFECTS", {})
    draw_sample(SampleSettings(n_subjects=320), tmp_path / "sample")
    members = members_of(tmp_path / "sample/age_gender/agegender_cleaned.tar.gz")
    rows = [
        row.split("\t") for name, data in members.items() if "fold" in name for row in data.decode().splitlines()[1:]
    ]
    assert {"f", "m", "u", ""} == {row[4] for row in rows}
    assert "None" in {row[3] for row in rows}


def test_some_rows_lack_a_photo_and_some_photos_a_row(photos: list[Photo]) -> None:
    problems = Counter(photo.problem for photo in photos if photo.name.startswith("age_gender/"))
    assert problems["row without a photo"] == 1
    assert problems["photo without a row in the fold tables"] == 1


def test_the_broken_photos_are_there(photos: list[Photo]) -> None:
    whole = [photo for photo in photos if photo.data and decodes(photo.data)]
    assert sum(photo.problem == "empty file" for photo in photos) == 1
    assert sum(bool(photo.data) for photo in photos) - len(whole) == 3, "truncated photos"
    assert [photo.name[-4:] for photo in whole if photo.data.startswith(b"\x89PNG")] == [".jpg"]
    assert sum(np.asarray(Image.open(io.BytesIO(photo.data))).std() < 1 for photo in whole) == 1, "blank photos"
    copies = [count for count in Counter(photo.data for photo in whole).values() if count > 1]
    assert copies == [2], "one exact duplicate"


def test_near_copies_stand_under_another_subject(photos: list[Photo]) -> None:
    whole = [photo for photo in photos if decodes(photo.data)]
    small = [np.asarray(Image.open(io.BytesIO(photo.data)).convert("L").resize((24, 24)), float) for photo in whole]
    pairs = [
        (first, second)
        for first in range(len(whole))
        for second in range(first)
        if whole[first].subject_id != whole[second].subject_id and np.abs(small[first] - small[second]).mean() < 2
    ]
    assert len(pairs) == 4
    for first, second in pairs:
        assert whole[first].data != whole[second].data
        assert whole[first].subject_id.split("/")[0] == whole[second].subject_id.split("/")[0]


def test_a_subjects_photos_differ(photos: list[Photo]) -> None:
    by_subject: dict[str, set[bytes]] = {}
    for photo in photos:
        by_subject.setdefault(photo.subject_id, set()).add(photo.data)
    assert len(by_subject) == SETTINGS.n_subjects
    assert min(len(data) for data in by_subject.values()) > 1


def test_the_reader_chains_the_three_layouts(photos: list[Photo]) -> None:
    assert list(dict.fromkeys(photo.name.split("/")[0] for photo in photos)) == ["celeba", "muct", "age_gender"]
    assert all(photo.subject_id.split("/")[0] == photo.name.split("/")[0] for photo in photos)
    assert len({photo.name for photo in photos}) == len(photos)
    assert {photo.official_split for photo in photos} >= {"train", "validation", "test", "fold_0", None}
    labels = Counter(photo.label for photo in photos)
    assert abs(labels["female"] - labels["male"]) < 0.2 * len(photos)


@pytest.mark.parametrize(("setting", "expected"), [(None, True), (True, True), (False, False)])
def test_drawn_photos_may_be_shown_unless_forbidden(root: Path, setting: bool | None, expected: bool) -> None:
    shown = {photo.publishable for photo in read(root, SOURCE.model_copy(update={"publishable": setting}))}
    assert shown == {expected}


def test_reading_streams(root: Path) -> None:
    stream = read(root, SOURCE)
    assert isinstance(stream, Iterator)
    assert next(stream).name == "celeba/img_align_celeba/000001.jpg"


def test_a_folder_without_a_sample_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no drawn sample; expected one of the folders celeba, muct"):
        next(read(tmp_path, SOURCE))


def test_label_noise_flips_that_share_of_the_labels() -> None:
    noisy = SampleSettings(n_subjects=2000, label_noise=0.25)
    subjects = sample._subjects(noisy, "celeba")
    flipped = np.mean([subject.label != subject.person.drawn_class for subject in subjects])
    assert flipped == pytest.approx(0.25, abs=0.05)
