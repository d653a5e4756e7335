import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from gender_pipeline.errors import ImageError
from gender_pipeline.images.checks import ImageLimits
from gender_pipeline.images.shards import ShardSettings, ShardStore, SourcePhotos, update_shards
from gender_pipeline.schema import MANIFEST_SCHEMA, SHARD_SCHEMA, Photo

SETTINGS = ShardSettings()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def never() -> Iterator[Photo]:
    raise AssertionError("this source must not be read")


@pytest.fixture
def large_photos(drawn, encode):
    """Give 40 photos of about 72 KiB, 2.9 MiB in all: several row groups and shards of 1 MiB."""

    def photos() -> Iterator[Photo]:
        for seed in range(40):
            data = encode(drawn(seed, (160, 150), n_patches=150), "BMP")
            yield Photo(f"{seed:02d}.bmp", data, subject_id=str(seed), label="male")

    return photos


def test_a_row_holds_what_the_reader_and_the_checks_say(tmp_path, photos) -> None:
    photo = replace(
        next(photos(1)),
        age_years=31.5,
        attributes={"Young": 1, "Blurry": -1},
        box=(1, 2, 3, 4),
        landmarks=(5, 6),
        official_split="fold_0",
        publishable=True,
    )
    row = update_shards(tmp_path, {"a": SourcePhotos("1", lambda: iter([photo]))}, SETTINGS).manifest().iloc[0]
    assert row.image_id == hashlib.sha256(photo.data).hexdigest()
    assert (row.source, row["name"], row.subject_id, row.label) == ("a", "000.jpg", "0", "female")
    assert (row.age_years, row.official_split, row.publishable, row.grey) == (31.5, "fold_0", True, False)
    assert json.loads(row.attributes) == {"Young": 1, "Blurry": -1}
    assert (list(row.box), list(row.landmarks)) == ([1, 2, 3, 4], [5, 6])
    assert (row.width_px, row.height_px, len(row.phash)) == (64, 48, 32)
    assert pd.isna(row.problem)


def test_the_manifest_has_the_schemas_columns_and_is_sorted_by_source_and_name(tmp_path, photos) -> None:
    sources = {"b": SourcePhotos("1", lambda: reversed([*photos(3)])), "a": SourcePhotos("1", lambda: photos(2, 50))}
    manifest = update_shards(tmp_path, sources, SETTINGS).manifest()
    assert list(manifest.columns) == MANIFEST_SCHEMA.names
    assert list(manifest.source + manifest.name) == ["a050.jpg", "a051.jpg", "b000.jpg", "b001.jpg", "b002.jpg"]


def test_an_empty_store_has_an_empty_manifest_with_all_columns(tmp_path) -> None:
    store = update_shards(tmp_path / "none", {}, SETTINGS)
    assert list(store.manifest().columns) == MANIFEST_SCHEMA.names
    assert list(store.images([])) == []


def test_missing_values_stay_missing(tmp_path) -> None:
    photo = Photo("x.jpg", b"", subject_id="s", label=None, problem="row without a photo")
    row = update_shards(tmp_path, {"a": SourcePhotos("1", lambda: iter([photo]))}, SETTINGS).manifest().iloc[0]
    assert row[["label", "age_years", "box", "landmarks", "official_split", "phash"]].isna().all()
    assert (row.width_px, row.problem) == (0, "row without a photo")


def test_a_row_without_bytes_has_an_id_of_its_own(tmp_path) -> None:
    gone = [Photo(name, b"", subject_id="s", label=None, problem="row without a photo") for name in "xy"]
    sources = {source: SourcePhotos("1", lambda: iter(gone)) for source in ("a", "b")}
    ids = update_shards(tmp_path, sources, SETTINGS).manifest().image_id
    assert ids[0] == hashlib.sha256(b"a/x").hexdigest()
    assert ids.is_unique


def test_a_readers_problem_stands_and_a_bad_photo_gets_one(tmp_path, photos) -> None:
    good, bad, refused, empty = photos(4)
    found = [good, replace(bad, data=bad.data[:-99]), replace(refused, problem="no label"), replace(empty, data=b"")]
    manifest = update_shards(tmp_path, {"a": SourcePhotos("1", lambda: iter(found))}, SETTINGS).manifest()
    assert manifest.problem.fillna("").tolist() == ["", "truncated", "no label", "empty file"]


def test_a_photo_beyond_the_size_limit_is_a_row_without_its_bytes(tmp_path, photos) -> None:
    photo = next(photos(1))
    settings = ShardSettings(limits=ImageLimits(max_bytes=len(photo.data) - 1))
    store = update_shards(tmp_path, {"a": SourcePhotos("1", lambda: iter([photo]))}, settings)
    assert store.manifest().problem.tolist() == [f"too many bytes: {len(photo.data)}"]
    with pytest.raises(ImageError, match="has no bytes; ask only for photos whose row in the manifest has no problem"):
        list(store.images(store.manifest().image_id))


def test_names_that_are_no_unicode_are_stored_escaped(tmp_path, photos) -> None:
    photo = replace(next(photos(1)), name="f\udcfcr.jpg", data=b"")
    store = update_shards(tmp_path, {"a": SourcePhotos("1", lambda: iter([photo]))}, SETTINGS)
    assert store.manifest().name.tolist() == [r"f\udcfcr.jpg"]


def test_images_come_once_each_in_stored_order_with_their_own_bytes(tmp_path, photos) -> None:
    twice = [*photos(4), replace(next(photos(1)), name="again.jpg"), *photos(2, 10)]
    store = update_shards(tmp_path, {"a": SourcePhotos("1", lambda: iter(twice))}, SETTINGS)
    ids = [hashlib.sha256(photo.data).hexdigest() for photo in twice]
    found = list(store.images([ids[5], ids[4], ids[2], ids[2]]))
    assert [image_id for image_id, _ in found] == [ids[0], ids[2], ids[5]]
    assert all(hashlib.sha256(data).hexdigest() == image_id for image_id, data in found)


def test_images_come_from_several_row_groups_and_shards(tmp_path, large_photos) -> None:
    settings = ShardSettings(shard_mib=1, row_group_mib=1)
    store = update_shards(tmp_path, {"a": SourcePhotos("1", large_photos)}, settings)
    manifest = store.manifest()
    assert len(store.indexes["a"].shards) == 3
    assert manifest.name.tolist() == [f"{i:02d}.bmp" for i in range(40)]
    assert dict(store.images(manifest.image_id)) == {
        hashlib.sha256(photo.data).hexdigest(): photo.data for photo in large_photos()
    }
    assert [image_id for image_id, _ in store.images(manifest.image_id[35:36])] == [manifest.image_id[35]]


def test_row_groups_bound_what_is_read_at_a_time(tmp_path, large_photos) -> None:
    update_shards(tmp_path, {"a": SourcePhotos("1", large_photos)}, ShardSettings(row_group_mib=1))
    (path,) = tmp_path.glob("a/*.parquet")
    metadata = pq.read_metadata(path)
    assert metadata.num_row_groups == 3
    assert all(metadata.row_group(i).total_byte_size < 1.2 * 2**20 for i in range(3))


def test_only_the_image_column_is_uncompressed(tmp_path, photos) -> None:
    update_shards(tmp_path, {"a": SourcePhotos("1", lambda: photos(3))}, SETTINGS)
    (path,) = tmp_path.glob("a/*.parquet")
    columns = pq.read_metadata(path).row_group(0).to_dict()["columns"]
    assert pq.read_schema(path).names == SHARD_SCHEMA.names
    assert {column["path_in_schema"] for column in columns if column["compression"] == "UNCOMPRESSED"} == {"image"}


def test_unknown_ids_are_named_before_anything_is_read(tmp_path, photos) -> None:
    store = update_shards(tmp_path, {"a": SourcePhotos("1", lambda: photos(2))}, SETTINGS)
    unknown = [f"id{i}" for i in range(7)]
    with pytest.raises(ImageError, match=r"7 photos are not in .* id0, id1, id2, id3, id4 and 2 more"):
        next(store.images([*store.manifest().image_id, *unknown]))


def test_an_unchanged_source_is_not_read_again(tmp_path, photos) -> None:
    update_shards(tmp_path, {"a": SourcePhotos("1", lambda: photos(3))}, SETTINGS)
    before = tree(tmp_path)
    update_shards(tmp_path, {"a": SourcePhotos("1", never)}, SETTINGS.model_copy(update={"workers": 1}))
    assert tree(tmp_path) == before


def test_a_changed_source_replaces_its_own_shards_only(tmp_path, photos) -> None:
    kept = SourcePhotos("1", lambda: photos(3))
    update_shards(tmp_path, {"a": kept, "b": SourcePhotos("1", lambda: photos(3, 10))}, SETTINGS)
    before = tree(tmp_path / "a")
    kept = SourcePhotos("1", never)
    store = update_shards(tmp_path, {"a": kept, "b": SourcePhotos("2", lambda: photos(2, 20))}, SETTINGS)
    assert tree(tmp_path / "a") == before
    assert store.manifest().name.tolist()[3:] == ["020.jpg", "021.jpg"]
    assert len(list(tmp_path.glob("b/*"))) == 2


@pytest.mark.parametrize("change", [{"limits": ImageLimits(min_side_px=50)}, {"shard_mib": 1}])
def test_other_settings_write_a_source_anew(tmp_path, photos, change) -> None:
    source = {"a": SourcePhotos("1", lambda: photos(3))}
    first = update_shards(tmp_path, source, SETTINGS).digest
    assert update_shards(tmp_path, source, ShardSettings(**change)).digest != first


def test_a_source_no_longer_given_is_removed(tmp_path, photos) -> None:
    both = {source: SourcePhotos("1", lambda: photos(2)) for source in ("a", "b")}
    update_shards(tmp_path, both, SETTINGS)
    store = update_shards(tmp_path, {"b": both["b"]}, SETTINGS)
    assert set(store.manifest().source) == {"b"}
    assert not (tmp_path / "a").exists()


def test_what_the_store_did_not_make_is_never_removed(tmp_path, photos) -> None:
    update_shards(tmp_path, {"a": SourcePhotos("1", lambda: photos(1))}, SETTINGS)
    strangers = [tmp_path / name for name in ("notes.txt", "letters/to_mother.txt", "a/notes.txt")]
    for path in strangers:
        path.parent.mkdir(exist_ok=True)
        path.write_text("dear mother")
    assert update_shards(tmp_path, {}, SETTINGS).manifest().empty
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(strangers)


def test_the_same_photos_give_the_same_bytes_with_any_number_of_workers(tmp_path, photos) -> None:
    for workers, folder in ((1, "one"), (3, "three")):
        settings = ShardSettings(workers=workers)
        update_shards(tmp_path / folder, {"a": SourcePhotos("1", lambda: photos(150))}, settings)
    assert tree(tmp_path / "one") == tree(tmp_path / "three")


def test_digests_name_the_photos_and_settings_whatever_their_files(tmp_path, photos) -> None:
    def stored(folder: str, n_photos: int, **settings: int) -> ShardStore:
        sources = {"a": SourcePhotos(folder, lambda: photos(2)), "b": SourcePhotos(folder, lambda: photos(n_photos, 9))}
        return update_shards(tmp_path / folder, sources, ShardSettings(**settings))

    first, same, more, other = stored("1", 3), stored("2", 3), stored("3", 4), stored("4", 3, shard_mib=1)
    assert re.fullmatch("[0-9a-f]{64}", first.digest)
    assert (first.digest, first.digests) == (same.digest, same.digests)
    assert first.digests["a"] == more.digests["a"]
    assert len({store.digests["b"] for store in (first, more, other)}) == 3
    assert len({store.digest for store in (first, more, other)}) == 3


@pytest.mark.parametrize("damage", ["missing shard", "cut shard", "missing index", "cut index"])
def test_a_source_whose_files_are_damaged_is_read_again(tmp_path, photos, damage) -> None:
    source = {"a": SourcePhotos("1", lambda: photos(3))}
    update_shards(tmp_path, source, SETTINGS)
    before = tree(tmp_path)
    what, kind = damage.split()
    (path,) = tmp_path.glob("a/*.parquet" if kind == "shard" else "a/index.json")
    path.write_bytes(path.read_bytes()[:100]) if what == "cut" else path.unlink()
    update_shards(tmp_path, source, SETTINGS)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("file", ["*.parquet", "index.json"])
def test_reading_a_damaged_file_says_what_to_delete(tmp_path, photos, file) -> None:
    update_shards(tmp_path, {"a": SourcePhotos("1", lambda: photos(3))}, SETTINGS)
    (path,) = tmp_path.glob(f"a/{file}")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ImageError, match=rf"is missing or damaged; delete the folder {tmp_path / 'a'}, so that"):
        ShardStore(tmp_path).manifest()


def test_one_flipped_bit_in_a_photo_is_noticed(tmp_path, photos) -> None:
    store = update_shards(tmp_path, {"a": SourcePhotos("1", lambda: photos(3))}, SETTINGS)
    (path,) = tmp_path.glob("a/*.parquet")
    content = bytearray(path.read_bytes())
    content[content.index(next(photos(1)).data) + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(ImageError, match="is missing or damaged"):
        list(store.images(store.manifest().image_id))


def test_an_index_cannot_point_outside_its_folder(tmp_path) -> None:
    (tmp_path / "a").mkdir()
    shard = {"file": "../../secret.parquet", "sha256": "", "bytes": 0, "rows": 0}
    (tmp_path / "a" / "index.json").write_text(json.dumps({"digest": "", "shards": [shard]}))
    with pytest.raises(ImageError, match=r"index\.json is missing or damaged"):
        ShardStore(tmp_path).manifest()


@pytest.mark.parametrize("name", ["../a", "a/b", ".a", "", "a b"])
def test_a_source_name_that_is_no_folder_name_is_an_error(tmp_path, name) -> None:
    with pytest.raises(ImageError, match="a source cannot be stored; expected a name of letters and digits"):
        update_shards(tmp_path, {name: SourcePhotos("1", never)}, SETTINGS)
