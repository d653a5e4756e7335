"""What holds for any views, and for any order of asking the feature cache."""

import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gender_pipeline.images.decode import decode_rgb
from gender_pipeline.images.views import Augmentation, View, crop_views, distort, distorted_views
from gender_pipeline.training import FeatureCache

SIZE_PX = 40
# Red says the column and green the row, so that a view's colours say where its pixels come from.
PLACES = np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8)
PLACES[..., 0], PLACES[..., 1] = np.meshgrid(*[np.arange(SIZE_PX) * 5] * 2)

seeds = st.integers(0, 2**32 - 1)
crops = st.floats(0, 0.5)
augmentations = st.builds(
    Augmentation, views=st.just(4), flip=st.booleans(), crop=crops, brightness=st.floats(0.01, 0.9)
)


@given(augmentations, seeds, st.permutations([(number, image_id) for number in range(4) for image_id in "abc"]))
def test_views_hang_on_settings_seed_number_and_photo_but_not_on_the_order(
    augmentation: Augmentation, seed: int, order: list[tuple[int, str]]
) -> None:
    views, equal_views = distorted_views(augmentation, seed), distorted_views(augmentation, seed)
    seen = {(number, image_id): views[number].apply(image_id, PLACES) for number, image_id in order}
    for (number, image_id), pixels in sorted(seen.items()):
        np.testing.assert_array_equal(equal_views[number].apply(image_id, PLACES), pixels)


@given(augmentations, augmentations, seeds, seeds)
def test_views_have_equal_keys_if_and_only_if_they_are_equal(
    one: Augmentation, other: Augmentation, seed: int, other_seed: int
) -> None:
    for view in distorted_views(one, seed):
        for compared in (*distorted_views(other, other_seed), *crop_views(10)):
            assert (view.key == compared.key) == (view == compared)


@given(crops, seeds)
def test_a_random_crop_stays_inside_and_cuts_off_at_most_its_share(crop: float, seed: int) -> None:
    (pixels,) = distort(PLACES[None], Augmentation(crop=crop), np.random.default_rng(seed)) / 5
    for places in (pixels[0, :, 0], pixels[:, 0, 1]):
        assert places.min() >= 0
        assert places.max() <= SIZE_PX - 1
        assert (np.diff(places) >= 0).all()
        # Bilinear pixels at both ends lie up to half a pixel inside the crop.
        assert places[-1] - places[0] >= SIZE_PX * (1 - crop) - 1.5


@given(st.sampled_from(crop_views(10)), st.text(max_size=8))
def test_a_view_flipped_twice_is_the_view(view: View, image_id: str) -> None:
    mirrored = View(crop=view.crop, mirrored=not view.mirrored)
    np.testing.assert_array_equal(mirrored.apply(image_id, PLACES)[:, ::-1], view.apply(image_id, PLACES))


@given(augmentations, seeds)
def test_a_batch_is_distorted_by_its_generator_alone(augmentation: Augmentation, seed: int) -> None:
    photos = np.stack([PLACES, PLACES[::-1], PLACES])
    first, again = (distort(photos, augmentation, np.random.default_rng(seed)) for _ in range(2))
    assert (first.shape, first.dtype) == (photos.shape, np.uint8)
    np.testing.assert_array_equal(first, again)


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PHOTOS = {hashlib.sha256(data).hexdigest(): data for data in map(png, range(8))}
IDS = list(PHOTOS)


class Source:
    """Gives the photos, and counts them."""

    def __init__(self) -> None:
        self.given = 0

    def images(self, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for image_id in image_ids:
            self.given += 1
            yield image_id, PHOTOS[image_id]


def pixels_of(size_px: int) -> Any:
    import keras

    pixels = keras.Input((size_px, size_px, 3))
    return keras.Model(pixels, pixels)


requests = st.tuples(st.integers(8, 11), st.lists(st.sampled_from(IDS), min_size=1, max_size=8))


@settings(max_examples=10, deadline=None)
@given(st.lists(requests, max_size=5), st.integers(1, 40))
def test_a_cache_that_must_delete_answers_like_one_that_need_not(
    asked: list[tuple[int, list[str]]], n_records: int
) -> None:
    largest = max((len(set(ids)) * (64 + 3 * size**2) for size, ids in asked), default=0)
    with TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder), max_bytes=largest + n_records * 256)
        held = []
        for size, ids in asked:
            cached, source = cache.features(pixels_of(size), size, ids, Source()), Source()
            cache.features(pixels_of(size), size, ids, source)
            assert source.given == 0, "what has just been asked for was deleted"
            held.append((cached, np.stack([decode_rgb(PHOTOS[image_id], size) for image_id in ids])))
        for cached, expected in held:
            np.testing.assert_array_equal(cached.rows(np.arange(len(cached))), expected)


@settings(max_examples=10, deadline=None)
@given(st.lists(requests, min_size=1, max_size=5))
def test_a_cache_outgrows_its_bound_by_no_more_than_the_parts_in_use(asked: list[tuple[int, list[str]]]) -> None:
    largest = max(len(set(ids)) * (64 + 3 * size**2) for size, ids in asked)
    with TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder), max_bytes=largest)
        for size, ids in asked:
            cached = cache.features(pixels_of(size), size, ids, Source())
            in_use = sum(math.ceil(part.nbytes + 256) for part in cached.parts)
            stored = sum(path.stat().st_size for path in cache.folder.glob("*/part-*.npy"))
            assert stored <= max(largest + 256 * len(cached.parts), in_use)
