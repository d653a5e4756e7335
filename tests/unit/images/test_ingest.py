"""From raw archives to shards, run after run."""

import os
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest

import layouts
from drawn_faces import encoded, group
from gender_pipeline.errors import SourceError
from gender_pipeline.images import rows, shards
from gender_pipeline.images.faces import FACES_VERSION, cut_faces
from gender_pipeline.images.ingest import ingest
from gender_pipeline.images.shards import ShardSettings, ShardStore
from gender_pipeline.schema import Photo
from gender_pipeline.sources import SourceSettings, SourcesSettings, known_files

OWN = SourcesSettings(data_sets={"own": SourceSettings(reader="folder", folder="own")})
WHOLE = SourcesSettings(data_sets={"own": SourceSettings(reader="folder", folder="own", crop="face")})


@pytest.fixture
def raw(tmp_path, photos) -> Path:
    """A raw root with six photos in the folders of their classes, made an hour ago."""
    for photo in photos(6):
        write(tmp_path / "raw", photo)
    return tmp_path / "raw"


def write(root: Path, photo: Photo) -> None:
    path = root / "own" / str(photo.label) / photo.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photo.data)
    os.utime(path, (time.time() - 3600,) * 2)


def run(root: Path, folder: Path, sources: SourcesSettings = OWN) -> ShardStore:
    return ingest(folder, root=root, sources=sources, settings=ShardSettings())


def test_a_second_run_opens_no_raw_file(raw, tmp_path, monkeypatch) -> None:
    first = run(raw, tmp_path / "images")
    monkeypatch.setattr(known_files, "file_digest", None)
    monkeypatch.setattr(shards, "_update_source", None)
    assert run(raw, tmp_path / "images").indexes == first.indexes


def test_of_a_folder_that_grew_only_the_new_files_are_decoded(raw, tmp_path, photos, monkeypatch) -> None:
    first = run(raw, tmp_path / "images")
    new = next(photos(1, 90))
    write(raw, new)
    names, inspect = [], rows.inspect_image
    monkeypatch.setattr(
        rows, "inspect_image", lambda data, name, limits: names.append(name) or inspect(data, name, limits)
    )
    grown = run(raw, tmp_path / "images")
    assert names == [f"{new.label}/{new.name}"]
    assert set(first.indexes["own"].shards) < set(grown.indexes["own"].shards)


def test_a_folder_that_was_packed_is_the_same_store(raw, tmp_path) -> None:
    first = run(raw, tmp_path / "images")
    shutil.make_archive(str(raw / "own"), "zip", raw / "own")
    shutil.rmtree(raw / "own")
    packed = run(raw, tmp_path / "images")
    assert packed.digest == first.digest
    assert packed.indexes["own"].shards == first.indexes["own"].shards
    pd.testing.assert_frame_equal(packed.manifest(), first.manifest())


def test_what_is_known_of_raw_files_lies_beside_the_store_not_in_it(raw, tmp_path) -> None:
    run(raw, tmp_path / "images")
    assert (tmp_path / ".images-files.json").is_file()
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["own"]


def test_a_touched_file_changes_no_file_of_the_store(raw, tmp_path) -> None:
    run(raw, tmp_path / "images")
    before = {path: path.stat().st_ino for path in (tmp_path / "images").rglob("*")}
    for path in raw.rglob("*.jpg"):
        path.touch()
    run(raw, tmp_path / "images")
    assert {path: path.stat().st_ino for path in (tmp_path / "images").rglob("*")} == before


def test_a_row_that_gets_its_photo_is_replaced_by_it(tmp_path) -> None:
    sources = SourcesSettings(data_sets={"celeba": layouts.celeba(tmp_path / "raw" / "celeba")})
    archive = tmp_path / "raw" / "celeba" / "img_align_celeba.zip"
    layouts.pack(archive, {f"img_align_celeba/{i:06}.jpg": layouts.noise(i) for i in range(5)})
    assert "row without a photo" in set(run(tmp_path / "raw", tmp_path / "images", sources).manifest()["problem"])
    layouts.pack(archive, {f"img_align_celeba/{i:06}.jpg": layouts.noise(i) for i in range(6)})
    manifest = run(tmp_path / "raw", tmp_path / "images", sources).manifest()
    assert len(manifest) == 6
    assert "row without a photo" not in set(manifest["problem"])


def test_a_missing_raw_root_is_an_error_that_names_it(tmp_path) -> None:
    with pytest.raises(SourceError, match=r"the raw root .*nowhere does not exist"):
        run(tmp_path / "nowhere", tmp_path / "images")


def test_of_whole_photos_the_store_holds_the_faces(tmp_path) -> None:
    whole = {f"{label}/{label}.png": encoded(group([(200 + 100 * code, 50)]), "PNG") for code, label in enumerate("ab")}
    for name, data in (whole | {"a/none.jpg": encoded(group([])), "b/broken.jpg": b"text"}).items():
        path = tmp_path / "raw" / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    store = run(tmp_path / "raw", tmp_path / "images", WHOLE)
    rows = store.manifest().set_index("name")
    assert rows["problem"].dropna().to_dict() == {
        "a/none.jpg": "no face",
        "b/broken.jpg": "not an image: neither JPEG, PNG, BMP nor WebP",
    }
    stored = dict(store.images([rows.loc[name, "image_id"] for name in whole]))
    for name, data in whole.items():
        (crop,) = cut_faces(data)
        assert stored[rows.loc[name, "image_id"]] == crop.data
        assert tuple(rows.loc[name, "box"])[2:] == crop.box[2:]


def test_photos_that_are_to_be_cropped_from_now_on_are_read_anew(raw, tmp_path) -> None:
    assert run(raw, tmp_path / "images").manifest()["problem"].isna().all()
    assert set(run(raw, tmp_path / "images", WHOLE).manifest()["problem"]) == {"no face"}


@pytest.fixture
def whole_photos(tmp_path) -> Path:
    """A raw root with two whole photos."""
    for code in range(2):
        write(tmp_path / "raw", whole_photo(code))
    return tmp_path / "raw"


def whole_photo(code: int) -> Photo:
    return Photo(f"{code}.png", encoded(group([(100 + 200 * code, 50)]), "PNG"), subject_id="a", label="a")


def test_of_whole_photos_that_grew_the_old_faces_are_not_stored_again(whole_photos, tmp_path) -> None:
    first = run(whole_photos, tmp_path / "images", WHOLE)
    write(whole_photos, whole_photo(2))
    grown = run(whole_photos, tmp_path / "images", WHOLE)
    assert set(first.indexes["own"].shards) < set(grown.indexes["own"].shards)
    assert [shard.rows for shard in grown.indexes["own"].shards] == [2, 1]
    assert grown.digest == run(whole_photos, tmp_path / "at_once", WHOLE).digest


@pytest.mark.parametrize(("sources", "read"), [(OWN, []), (WHOLE, ["own"])], ids=["aligned", "whole"])
def test_a_new_way_to_cut_reads_whole_photos_anew_and_no_others(
    whole_photos, tmp_path, monkeypatch, sources: SourcesSettings, read: list[str]
) -> None:
    run(whole_photos, tmp_path / "images", sources)
    updated, update = [], shards._update_source
    monkeypatch.setattr(shards, "_update_source", lambda *args: updated.append(args[0].name) or update(*args))
    run(whole_photos, tmp_path / "images", sources)
    assert updated == []
    monkeypatch.setattr("gender_pipeline.images.ingest.FACES_VERSION", FACES_VERSION + 1)
    run(whole_photos, tmp_path / "images", sources)
    assert updated == read
