"""A source that changes: what is decoded again, what is written again, and what is read from it afterwards."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from gender_pipeline.images import rows
from gender_pipeline.images.checks import ImageLimits
from gender_pipeline.images.shards import ShardSettings, ShardStore, SourcePhotos, update_shards
from gender_pipeline.schema import Photo

SETTINGS = ShardSettings(shard_mib=1, row_group_mib=1)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the photos that were decoded since it was cleared."""
    names: list[str] = []
    original = rows.inspect_image

    def inspect(data: bytes, name: str, limits: ImageLimits) -> Any:
        names.append(name)
        return original(data, name, limits)

    monkeypatch.setattr(rows, "inspect_image", inspect)
    return names


@pytest.fixture
def store(tmp_path: Path, decoded: list[str]) -> Callable[..., ShardStore]:
    """Bring a store to some photos, whatever it held."""
    n_updates = 0

    def update(photos: Iterable[Photo], settings: ShardSettings = SETTINGS) -> ShardStore:
        nonlocal n_updates
        n_updates += 1
        decoded.clear()
        source = SourcePhotos(str(n_updates), lambda: iter(list(photos)))
        return update_shards(tmp_path / "store", {"a": source}, settings)

    return update


@pytest.fixture
def assert_as_fresh(tmp_path: Path) -> Callable[[ShardStore, Iterable[Photo]], None]:
    def check(store: ShardStore, photos: Iterable[Photo]) -> None:
        (folder := tmp_path / "fresh").mkdir(exist_ok=True)
        source = {"a": SourcePhotos("1", lambda: iter(list(photos)))}
        fresh = update_shards(folder / str(len(list(folder.iterdir()))), source, SETTINGS)
        pd.testing.assert_frame_equal(store.manifest(), fresh.manifest())
        assert store.digest == fresh.digest
        ids = fresh.manifest().query("phash.notna()")["image_id"]
        assert dict(store.images(ids)) == dict(fresh.images(ids))

    return check


def files(store: ShardStore) -> set[str]:
    return {shard.file for shard in store.indexes["a"].shards}


def middle_of_first_column(path: Path) -> int:
    column = pq.read_metadata(path).row_group(0).column(0)
    return int(column.dictionary_page_offset + column.total_compressed_size // 2)


def test_new_photos_alone_are_decoded_and_written(store, photos, decoded, assert_as_fresh) -> None:
    first = store(photos(6))
    grown = store(photos(8))
    assert decoded == ["006.jpg", "007.jpg"]
    assert files(first) < files(grown)
    assert [shard.rows for shard in grown.indexes["a"].shards] == [6, 2]
    assert_as_fresh(grown, photos(8))


def test_photos_that_come_in_another_order_are_known(store, photos, decoded) -> None:
    first = store(photos(6))
    turned = store(reversed([*photos(6)]))
    assert decoded == []
    assert files(turned) == files(first)
    pd.testing.assert_frame_equal(turned.manifest(), first.manifest())


def test_rows_that_are_gone_are_taken_out_of_their_shard_and_no_other(store, photos, decoded, assert_as_fresh) -> None:
    store(photos(4))
    store(photos(8))
    before = files(store(photos(12)))
    left = [photo for photo in photos(12) if photo.name != "005.jpg"]
    after = store(left)
    assert decoded == []
    assert len(before & files(after)) == 2
    assert sorted(shard.rows for shard in after.indexes["a"].shards) == [3, 4, 4]
    assert_as_fresh(after, left)


def test_other_annotations_are_written_without_a_decoding(store, photos, decoded, assert_as_fresh) -> None:
    store(photos(5))
    changed = [replace(photo, age_years=30.1, landmarks=(0.1, float("nan"))) for photo in photos(5)]
    after = store(changed)
    assert decoded == []
    assert_as_fresh(after, changed)


def test_floats_that_a_table_rounds_are_known_again(store, photos) -> None:
    aged = [replace(photo, age_years=30.1, box=(0.1, 0.2, 3.3, 4.4), landmarks=(float("nan"),)) for photo in photos(3)]
    assert files(store(aged)) == files(store(aged))


def test_other_bytes_under_an_old_name_are_decoded(store, photos, decoded, assert_as_fresh) -> None:
    store(photos(5))
    changed = [*photos(4), replace(next(photos(1, 50)), name="004.jpg")]
    after = store(changed)
    assert decoded == ["004.jpg"]
    assert_as_fresh(after, changed)


def test_known_bytes_under_a_new_name_are_decoded_for_the_name_is_checked_too(store, photos, decoded) -> None:
    store(photos(2))
    renamed = [next(photos(1)), replace([*photos(2)][1], name="001.png")]
    assert store(renamed).manifest().problem.fillna("").str.contains("wrong extension").tolist() == [False, True]
    assert decoded == ["001.png"]


def test_a_problem_the_reader_no_longer_has_makes_the_photo_decoded(store, photos, decoded, assert_as_fresh) -> None:
    store([replace(photo, problem="row without a label") for photo in photos(3)])
    assert decoded == []
    assert_as_fresh(store(photos(3)), photos(3))


def test_a_problem_the_checks_found_stays_without_a_decoding(store, photos, decoded, drawn, encode) -> None:
    small = Photo("small.jpg", encode(drawn(0, (20, 20))), subject_id="s", label="male")
    assert store([*photos(2), small]).manifest().problem[2] == "too small: 20 x 20"
    assert store([*photos(3), small]).manifest().problem[3] == "too small: 20 x 20"
    assert decoded == ["002.jpg"]


def test_other_settings_decode_all_anew(store, photos, decoded) -> None:
    store(photos(3))
    strict = store(photos(3), ShardSettings(limits=ImageLimits(min_side_px=60)))
    assert sorted(decoded) == ["000.jpg", "001.jpg", "002.jpg"]
    assert strict.manifest().problem.notna().all()
    assert len(files(strict)) == 1


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped"])
def test_a_damaged_shard_is_never_grown(store, photos, tmp_path, decoded, assert_as_fresh, damage) -> None:
    (name,) = files(store(photos(3)))
    path = tmp_path / "store" / "a" / name
    content = bytearray(path.read_bytes())
    content[middle_of_first_column(path)] ^= 1
    path.write_bytes({"empty": b"", "cut": path.read_bytes()[:-1], "flipped": content}[damage])
    grown = store(photos(4))
    assert len(decoded) == 4
    assert_as_fresh(grown, photos(4))


def test_a_store_from_before_rules_were_kept_is_read_and_written_anew_when_it_changes(store, photos, tmp_path) -> None:
    store(photos(3))
    path = tmp_path / "store" / "a" / "index.json"
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "rules"}))
    assert len(ShardStore(tmp_path / "store").manifest()) == 3
    assert len(files(store(photos(4)))) == 1


def test_rows_of_one_name_are_all_stored_as_often_as_they_come(store, photos, assert_as_fresh) -> None:
    (photo,) = photos(1)
    for n_rows in (1, 2, 3, 2, 1):
        twins = [photo] * n_rows
        assert_as_fresh(store(twins), twins)


def test_a_source_that_lost_all_its_photos_has_no_shards(store, photos) -> None:
    store(photos(3))
    assert files(store([])) == set()
    assert len(files(store(photos(2)))) == 1


def test_daily_growth_keeps_few_shards_and_writes_each_photo_few_times(store, photos, assert_as_fresh) -> None:
    everything = [*photos(100)]
    written: dict[str, int] = {}
    for day in range(1, 101):
        grown = store(everything[:day])
        written |= {shard.file: shard.rows for shard in grown.indexes["a"].shards}
        assert len(files(grown)) <= 21  # seven of each of the three sizes that 100 photos reach
    assert sum(written.values()) <= 3 * 100
    assert_as_fresh(grown, everything)


def test_shards_of_half_the_full_size_or_more_are_never_merged(store, drawn, encode) -> None:
    images = [encode(drawn(seed, (430, 420), n_patches=400), "BMP") for seed in range(10)]
    large = [Photo(f"{i}.bmp", data, subject_id="s", label="male") for i, data in enumerate(images)]
    sizes = {len(files(store(large[:n]))) for n in range(1, 11)}
    assert sizes == set(range(1, 11))
