"""Views of photos."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gender_pipeline.images.views import PLAIN, Augmentation, crop_views, distort, distorted_views

ALL = Augmentation(views=4, flip=True, crop=0.3, brightness=0.4)
PHOTO = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)

augmentations = st.builds(
    Augmentation,
    views=st.integers(1, 5),
    flip=st.booleans(),
    crop=st.floats(0, 0.5),
    brightness=st.floats(0, 0.9),
)


@given(augmentations, st.integers(0, 5))
def test_the_first_view_is_the_photo_and_there_are_as_many_as_asked_for(augmentation: Augmentation, seed: int) -> None:
    views = distorted_views(augmentation, seed)
    assert views[0] == PLAIN
    np.testing.assert_array_equal(views[0].apply("a", PHOTO), PHOTO)
    assert len(views) == (augmentation.views if augmentation else 1)
    assert len({view.key for view in views}) == len(views)


@given(augmentations, st.text(max_size=8))
def test_a_view_of_a_photo_is_the_same_whenever_it_is_taken(augmentation: Augmentation, image_id: str) -> None:
    for view in distorted_views(augmentation, 0):
        once = view.apply(image_id, PHOTO)
        view.apply("another photo in between", PHOTO)
        np.testing.assert_array_equal(view.apply(image_id, PHOTO), once)
        assert once.shape == PHOTO.shape
        assert once.dtype == np.uint8


def test_photos_views_and_seeds_are_distorted_differently() -> None:
    one = distorted_views(ALL, 0)[1].apply("a", PHOTO)
    for other in (
        distorted_views(ALL, 0)[1].apply("b", PHOTO),
        distorted_views(ALL, 0)[2].apply("a", PHOTO),
        distorted_views(ALL, 1)[1].apply("a", PHOTO),
    ):
        assert not np.array_equal(one, other)


def test_views_with_other_settings_have_other_keys_but_their_number_does_not_count() -> None:
    key = distorted_views(ALL, 0)[1].key
    assert key == distorted_views(ALL.model_copy(update={"views": 9}), 0)[1].key
    assert key != distorted_views(ALL.model_copy(update={"crop": 0.2}), 0)[1].key
    assert key != distorted_views(ALL, 1)[1].key


def test_a_mirrored_view_mirrored_again_is_the_photo() -> None:
    mirror = crop_views(2)[1]
    np.testing.assert_array_equal(mirror.apply("a", mirror.apply("a", PHOTO)), PHOTO)


@pytest.mark.parametrize("n_crops", [1, 2, 5, 10])
def test_crops_are_as_many_as_asked_for_and_all_different(n_crops: int) -> None:
    seen = {view.apply("a", PHOTO).tobytes() for view in crop_views(n_crops)}
    assert len(seen) == len(crop_views(n_crops)) == n_crops


def test_the_corner_crops_show_the_corners_and_the_middle_one_the_middle() -> None:
    spots = np.zeros((64, 64, 3), np.uint8)
    for colour, (row, column) in enumerate([(30, 30), (0, 0), (0, 60), (60, 0), (60, 60)], 1):
        spots[row : row + 4, column : column + 4] = 50 * colour
    corners = [(0, 0), (0, 60), (60, 0), (60, 60)]
    for view, (row, column) in zip(crop_views(5)[1:], corners, strict=True):
        seen = view.apply("a", spots)[row : row + 4, column : column + 4]
        np.testing.assert_allclose(seen, spots[row : row + 4, column : column + 4], atol=3)
    assert crop_views(5)[0].apply("a", spots)[0, 0].max() == 0


def test_brightness_multiplies_and_stays_in_range() -> None:
    bright = Augmentation(brightness=0.9)
    grey = np.full((200, 8, 8, 3), 200, np.uint8)
    means = distort(grey, bright, np.random.default_rng(0)).reshape(200, -1).mean(axis=1)
    assert means.min() < 60
    assert means.max() == 255
    assert np.median(means) == pytest.approx(200, abs=30)


def test_half_of_the_photos_are_mirrored() -> None:
    photos = np.broadcast_to(PHOTO, (400, *PHOTO.shape))
    seen = distort(photos, Augmentation(flip=True), np.random.default_rng(0))
    mirrored = [np.array_equal(photo, PHOTO[:, ::-1]) for photo in seen]
    assert all(flag or np.array_equal(photo, PHOTO) for flag, photo in zip(mirrored, seen, strict=True))
    assert 150 < sum(mirrored) < 250


def test_without_any_distortion_photos_stay_as_they_are() -> None:
    np.testing.assert_array_equal(distort(PHOTO[None], Augmentation(), np.random.default_rng(0)), PHOTO[None])
