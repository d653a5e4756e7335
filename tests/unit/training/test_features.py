"""The cache of frozen features."""

import hashlib
import io
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gender_pipeline.errors import ImageError, TrainingError
from gender_pipeline.files import file_digest
from gender_pipeline.images.decode import decode_rgb
from gender_pipeline.images.views import Augmentation, crop_views, distorted_views
from gender_pipeline.training import FeatureCache, features

SIZE_PX = 16


def network(seed: int = 0, gain: float = 1.0) -> Any:
    """A small network from pixels (N, 16, 16, 3) to features (N, 4)."""
    import keras

    pixels = keras.Input((SIZE_PX, SIZE_PX, 3))
    kernel = keras.initializers.GlorotUniform(seed)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu", kernel_initializer=kernel)(pixels)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(pixels, keras.layers.Rescaling(gain)(x))


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "features")


def parts(cache: FeatureCache) -> list[Path]:
    return sorted(cache.folder.glob("*/part-*.npy"))


def everything(cached: Any) -> np.ndarray:
    return cached.rows(np.arange(len(cached)))


def test_features_are_the_outputs_of_the_network_in_float16(cache: FeatureCache, album: Any) -> None:
    net = network()
    pixels = np.stack([decode_rgb(data, SIZE_PX) for data in album.photos.values()]).astype(np.float32)
    expected = np.asarray(net(pixels))
    found = everything(cache.features(net, SIZE_PX, album.ids, album))
    assert (found.dtype, found.shape) == (np.float32, (48, 4))
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_a_photo_is_asked_for_once(cache: FeatureCache, album: Any) -> None:
    first = everything(cache.features(network(), SIZE_PX, album.ids, album))
    album.asked.clear()
    again = everything(FeatureCache(cache.folder).features(network(), SIZE_PX, album.ids, album))
    assert album.asked == []
    np.testing.assert_array_equal(again, first)


def test_only_missing_photos_are_computed_and_the_result_is_the_same_to_the_bit(
    cache: FeatureCache, album: Any, tmp_path: Path
) -> None:
    cache.features(network(), SIZE_PX, album.ids[5:12], album)
    album.asked.clear()
    in_two_goes = everything(cache.features(network(), SIZE_PX, album.ids, album))
    assert sorted(album.asked) == sorted(set(album.ids) - set(album.ids[5:12]))
    in_one_go = everything(FeatureCache(tmp_path / "other").features(network(), SIZE_PX, album.ids, album))
    np.testing.assert_array_equal(in_two_goes, in_one_go)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(positions=st.lists(st.integers(0, 47), max_size=60))
def test_rows_come_in_the_order_asked_for(cache: FeatureCache, album: Any, positions: list[int]) -> None:
    cache.features(network(), SIZE_PX, album.ids[30:], album)  # so that the rows lie in two parts
    cached = cache.features(network(), SIZE_PX, album.ids, album)
    chosen = np.array(positions, np.int64)
    np.testing.assert_array_equal(cached.rows(chosen), everything(cached)[chosen])


def test_a_photo_that_two_rows_share_is_computed_once(cache: FeatureCache, album: Any) -> None:
    one, other = album.ids[:2]
    found = everything(cache.features(network(), SIZE_PX, [one, other, one], album))
    np.testing.assert_array_equal(found[0], found[2])
    assert sorted(album.asked) == sorted([one, other])


@pytest.mark.parametrize("other", [network(seed=1), network(gain=2.0)], ids=["weights", "configuration"])
def test_another_network_has_a_cache_of_its_own(cache: FeatureCache, album: Any, other: Any) -> None:
    cache.features(network(), SIZE_PX, album.ids, album)
    cache.features(other, SIZE_PX, album.ids, album)
    assert len(list(cache.folder.iterdir())) == 2


def test_another_way_of_decoding_has_a_cache_of_its_own(
    cache: FeatureCache, album: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.features(network(), SIZE_PX, album.ids, album)
    monkeypatch.setattr(features, "DECODE_VERSION", 999)
    cache.features(network(), SIZE_PX, album.ids, album)
    assert len(list(cache.folder.iterdir())) == 2


def test_without_a_frozen_layer_the_pixels_themselves_are_kept_as_uint8(cache: FeatureCache, album: Any) -> None:
    import keras

    pixels = keras.Input((SIZE_PX, SIZE_PX, 3))
    cached = cache.features(keras.Model(pixels, pixels), SIZE_PX, album.ids, album)
    assert cached.parts[0].dtype["features"].base == np.uint8
    expected = decode_rgb(album.photos[album.ids[7]], SIZE_PX)
    np.testing.assert_array_equal(cached.rows(np.array([7]))[0], expected)


def test_pixels_are_kept_once_for_all_networks_and_number_formats(cache: FeatureCache, album: Any) -> None:
    import keras

    for name, dtype in (("one", "float16"), ("another", "bfloat16")):
        pixels = keras.Input((SIZE_PX, SIZE_PX, 3), name=name)
        cache.features(keras.Model(pixels, pixels, name=f"to_{name}"), SIZE_PX, album.ids, album, dtype=dtype)
    assert len(album.asked) == len(album.ids)


def test_features_of_two_number_formats_are_kept_side_by_side(cache: FeatureCache, album: Any) -> None:
    for dtype in ("float16", "bfloat16", "float16"):
        cache.features(network(), SIZE_PX, album.ids, album, dtype=dtype)
    assert len(album.asked) == 2 * len(album.ids)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-1], id="a byte is missing"),
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), id="a bit is flipped"),
        pytest.param(lambda data: data[:0], id="empty"),
        pytest.param(lambda data: b"not numpy" * len(data), id="another format"),
    ],
)
def test_a_damaged_part_is_thrown_away_and_computed_again(
    cache: FeatureCache, album: Any, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = everything(cache.features(network(), SIZE_PX, album.ids, album))
    (part,) = parts(cache)
    part.write_bytes(damage(part.read_bytes()))
    np.testing.assert_array_equal(everything(cache.features(network(), SIZE_PX, album.ids, album)), before)
    assert f"part {part.name} is damaged" in caplog.text


class Bomb:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was run",))


def numpy_file(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(numpy_file(np.array([Bomb], dtype=object)), id="objects"),
        pytest.param(pickle.dumps(Bomb()), id="a pickle"),
        pytest.param(numpy_file(np.zeros((3, 4), np.float16)), id="an array without ids"),
        pytest.param(b"\x93NUMPY\x01\x00\x10\x00{'descr': [}    \n", id="a broken header"),
    ],
)
def test_a_part_of_another_content_is_thrown_away_even_if_its_name_fits(
    cache: FeatureCache, album: Any, content: bytes
) -> None:
    cache.features(network(), SIZE_PX, album.ids, album)
    hostile = parts(cache)[0].with_name(f"part-{hashlib.sha256(content).hexdigest()}.npy")
    hostile.write_bytes(content)
    assert len(cache.features(network(), SIZE_PX, album.ids, album)) == 48
    assert not hostile.exists()


def test_a_killed_run_loses_at_most_one_part(cache: FeatureCache, album: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "PART_BYTES", 1)
    monkeypatch.setattr(features, "COMPUTE_BATCH", 10)
    album.photos[album.ids[25]] = b"this stops the third batch"
    with pytest.raises(ImageError, match=album.ids[25]):
        cache.features(network(), SIZE_PX, album.ids, album)
    album.asked.clear()
    album.photos[album.ids[25]] = album.photos[album.ids[24]]
    cache.features(network(), SIZE_PX, album.ids, album)
    assert set(album.asked) == set(album.ids[20:])


def test_two_writers_at_the_same_time_leave_a_whole_cache(cache: FeatureCache, album: Any) -> None:
    ranges = (album.ids[:30], album.ids[10:])
    writers = [
        threading.Thread(target=cache.features, args=(network(), SIZE_PX, wanted, type(album)(album.photos.values())))
        for wanted in ranges
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    cached = cache.features(network(), SIZE_PX, album.ids, album)
    assert album.asked == []
    assert len(cached) == 48


def test_a_photo_without_bytes_is_named(cache: FeatureCache, album: Any) -> None:
    with pytest.raises(TrainingError, match=f"1 photos have no features.*none for {'0' * 64}"):
        cache.features(network(), SIZE_PX, [*album.ids, "0" * 64], album)


@pytest.mark.parametrize("gain", [1e5, float("nan")])
def test_features_that_float16_cannot_hold_are_refused_with_the_photo(
    cache: FeatureCache, album: Any, gain: float
) -> None:
    with pytest.raises(TrainingError, match=r"cannot be cached; expected .*65504.*set feature_dtype to bfloat16"):
        cache.features(network(gain=gain), SIZE_PX, album.ids, album)
    assert parts(cache) == []


VIEWS = distorted_views(Augmentation(views=3, flip=True, crop=0.3), 0)


def test_each_view_has_the_features_of_its_pixels(cache: FeatureCache, album: Any) -> None:
    net, photos = network(), list(album.photos.items())[:5]
    cached = cache.features(net, SIZE_PX, [image_id for image_id, _ in photos], album, views=VIEWS)
    assert (len(cached), cached.n_views) == (5, 3)
    for number, view in enumerate(VIEWS):
        pixels = [view.apply(image_id, decode_rgb(data, SIZE_PX)) for image_id, data in photos]
        expected = np.asarray(net(np.stack(pixels).astype(np.float32)))
        np.testing.assert_allclose(cached.rows(np.arange(5), number), expected, rtol=2e-3)


def test_each_photo_can_be_had_in_a_view_of_its_own(cache: FeatureCache, album: Any) -> None:
    cached = cache.features(network(), SIZE_PX, album.ids, album, views=VIEWS)
    positions, views = np.array([4, 0, 4, 9]), np.array([2, 1, 0, 2])
    one_by_one = [cached.rows(positions[i : i + 1], int(views[i]))[0] for i in range(4)]
    np.testing.assert_array_equal(cached.rows(positions, views), one_by_one)


def test_a_photo_is_read_once_for_all_views_and_views_there_are_already_are_not_computed_again(
    cache: FeatureCache, album: Any
) -> None:
    cache.features(network(), SIZE_PX, album.ids, album, views=VIEWS[:2])
    assert len(album.asked) == len(album.ids)
    cache.features(network(), SIZE_PX, album.ids, album, views=VIEWS)
    assert len(album.asked) == 2 * len(album.ids)
    cache.features(network(), SIZE_PX, album.ids, album, views=crop_views(1))
    assert len(album.asked) == 2 * len(album.ids)


def test_a_damaged_part_of_one_view_is_computed_again(cache: FeatureCache, album: Any) -> None:
    before = cache.features(network(), SIZE_PX, album.ids, album, views=VIEWS)
    before = [before.rows(np.arange(48), view) for view in range(3)]
    part = parts(cache)[1]
    part.write_bytes(part.read_bytes()[:-1])
    again = cache.features(network(), SIZE_PX, album.ids, album, views=VIEWS)
    for view in range(3):
        np.testing.assert_array_equal(again.rows(np.arange(48), view), before[view])


def test_the_whole_photo_is_another_cache_than_its_square(cache: FeatureCache, album: Any) -> None:
    cache.features(network(), SIZE_PX, album.ids, album)
    cache.features(network(), SIZE_PX, album.ids, album, framing="whole")
    assert len(list(cache.folder.iterdir())) == 2


def test_bfloat16_keeps_eight_bits_and_a_large_range(cache: FeatureCache, album: Any) -> None:
    expected = everything(cache.features(network(), SIZE_PX, album.ids, album))
    large = everything(cache.features(network(gain=2.0**20), SIZE_PX, album.ids, album, dtype="bfloat16"))
    np.testing.assert_allclose(large, expected * 2.0**20, rtol=2**-7)
    ((part, *_),) = [cache.features(network(gain=2.0**20), SIZE_PX, album.ids, album, dtype="bfloat16").parts]
    assert part["features"].itemsize * 4 == part.dtype["features"].itemsize == 8


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=20))
def test_bfloat16_rounds_to_the_nearest_value(values: list[float]) -> None:
    import ml_dtypes

    array = np.array(values, np.float32)
    found = features._to_float32(features._bfloat16_bits(array))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found, array.astype(ml_dtypes.bfloat16).astype(np.float32))


def sized(cache: FeatureCache, n_records: float) -> FeatureCache:
    """Bound the cache to some records of 4 float16 features and an id, with room for the files' heads."""
    return FeatureCache(cache.folder, max_bytes=int(n_records * (64 + 8)) + 3 * 200)


def test_what_was_not_used_for_the_longest_is_deleted_when_room_is_needed(cache: FeatureCache, album: Any) -> None:
    cache = sized(cache, 100)
    for seed in (1, 2):
        cache.features(network(seed), SIZE_PX, album.ids, album)
    cache.features(network(1), SIZE_PX, album.ids, album)  # used again: now 2 is the oldest
    kept = set(parts(cache))
    cache.features(network(3), SIZE_PX, album.ids, album)
    left = kept & set(parts(cache))
    assert len(parts(cache)) == 2
    album.asked.clear()
    cache.features(network(1), SIZE_PX, album.ids, album)
    assert album.asked == []
    assert len(left) == 1


def test_features_that_were_deleted_are_computed_again_and_are_the_same(cache: FeatureCache, album: Any) -> None:
    cache = sized(cache, 50)
    first = cache.features(network(1), SIZE_PX, album.ids, album)
    before = everything(first)
    cache.features(network(2), SIZE_PX, album.ids, album)
    assert len(parts(cache)) == 1
    np.testing.assert_array_equal(everything(first), before)  # who has them open keeps them
    np.testing.assert_array_equal(everything(cache.features(network(1), SIZE_PX, album.ids, album)), before)


def test_parts_that_hold_wanted_photos_are_never_deleted_for_the_others(cache: FeatureCache, album: Any) -> None:
    cache.features(network(1), SIZE_PX, album.ids[:24], album)
    album.asked.clear()
    for _ in range(2):  # 28 photos fit, but not beside the 20 that share a part with 4 of them
        sized(cache, 40).features(network(1), SIZE_PX, album.ids[20:], album)
    assert sorted(album.asked) == sorted(album.ids[24:])


def test_photos_that_the_cache_cannot_hold_are_refused_before_any_is_read(cache: FeatureCache, album: Any) -> None:
    with pytest.raises(TrainingError, match=r"cache is too small.*expected at most .* GB; received 144 records of 72"):
        sized(cache, 100).features(network(), SIZE_PX, album.ids, album, views=VIEWS)
    assert album.asked == []


def test_with_many_views_parts_are_smaller_so_that_no_more_memory_is_used(
    cache: FeatureCache, album: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "COMPUTE_BATCH", 12)
    monkeypatch.setattr(features, "WAITING_BYTES", 3 * 24 * (64 + 8))
    cache.features(network(), SIZE_PX, album.ids, album, views=VIEWS)
    assert len(parts(cache)) == 3 * 2


def test_the_next_item_is_made_while_the_consumer_works_on_this_one() -> None:
    made = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    ahead = features._one_ahead(items())
    assert next(ahead) == 0
    assert made[1].wait(timeout=10)
    assert not made[2].is_set()
    assert list(ahead) == [1, 2]


def test_the_digest_of_a_part_is_made_once_a_call(
    cache: FeatureCache, album: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    digested: list[Path] = []
    cache.features(network(), SIZE_PX, album.ids[:9], album)
    monkeypatch.setattr(features, "file_digest", lambda path: digested.append(path) or file_digest(path))
    cache.features(network(), SIZE_PX, album.ids, album)
    assert sorted(digested) == parts(cache)
    assert len(digested) == 2
