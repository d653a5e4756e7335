"""The painter and the persons it paints: pleasant variety, no feature that decides the class."""

import io
from collections import Counter
from dataclasses import astuple, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gender_pipeline.sources.canvas import Frame, Pose, both, closed_curve, mirror
from gender_pipeline.sources.drawing import N_LANDMARKS, draw_landmarks, draw_photo, encode_jpeg
from gender_pipeline.sources.portrait import (
    CLASSES,
    LONG_HAIR,
    Hair,
    Person,
    Scene,
    Shape,
    Style,
    celeba_attributes,
    mix,
    sample_person,
    sample_scene,
    shade,
)

FRAME = Frame(178, 218, 89, 111, 57)
N_PERSONS = 600


def person_of(seed: int, drawn_class: str = "female") -> Person:
    return sample_person(np.random.default_rng(seed), drawn_class)


def scene_of(seed: int) -> Scene:
    return sample_scene(np.random.default_rng(seed))


def still(scene: Scene) -> Scene:
    """Take the pose out of a scene."""
    return replace(scene, yaw=0.0, roll=0.0, scale=1.0, shift_x=0.0, shift_y=0.0)


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


@pytest.fixture(scope="module")
def persons() -> dict[str, list[Person]]:
    return {name: [person_of(seed, name) for seed in range(N_PERSONS)] for name in CLASSES}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(CLASSES))
def test_every_person_can_be_drawn_in_every_scene(seed: int, drawn_class: str) -> None:
    data = draw_photo(person_of(seed, drawn_class), scene_of(seed + 1), FRAME)
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (178, 218))
    assert np.asarray(image.convert("L")).std() > 10


def test_the_same_person_and_scene_give_the_same_bytes() -> None:
    assert draw_photo(person_of(1), scene_of(2), FRAME) == draw_photo(person_of(1), scene_of(2), FRAME)


def test_another_scene_changes_the_photo_but_not_the_person() -> None:
    first, second = (pixels_of(draw_photo(person_of(1), scene_of(seed), FRAME)) for seed in (2, 3))
    assert np.abs(first - second).mean() > 5


def test_a_mouth_opens_and_only_the_mouth_changes() -> None:
    person, scene = person_of(3), replace(still(scene_of(4)), blur_px=0.0, noise=0.0)
    shut, open_ = (
        pixels_of(draw_photo(person, replace(scene, mouth_open=is_open), FRAME)) for is_open in (False, True)
    )
    changed_rows = np.flatnonzero(np.abs(shut - open_).max(axis=(1, 2)) > 40)
    assert 111 < changed_rows.min() <= changed_rows.max() < 111 + 1.1 * 57


@pytest.mark.parametrize("backdrop", ["plain", "circles", "hills", "shelf", "window"])
def test_a_backdrop_is_seen_beside_the_head(backdrop: str) -> None:
    scene = replace(still(scene_of(5)), backdrop=(backdrop, (250, 250, 250), (90, 120, 90)))
    other = replace(scene, backdrop=("plain", (20, 20, 20), (20, 20, 20)))
    first, second = (pixels_of(draw_photo(person_of(6), each, FRAME)) for each in (scene, other))
    corner = np.abs(first - second)[:20, :20].mean()
    face = np.abs(first - second)[115:125, 85:93].mean()
    assert corner > 40
    assert face < 10


def test_light_from_the_left_brightens_the_left() -> None:
    lit = {}
    for across in (-0.4, 0.4):
        scene = replace(still(scene_of(7)), light=(1.0, across, 0.0), backdrop=("plain", (160,) * 3, (160,) * 3))
        pixels = pixels_of(draw_photo(person_of(8), scene, FRAME))
        lit[across] = pixels[:40, :40].mean() - pixels[:40, -40:].mean()
    assert lit[-0.4] > 20
    assert lit[0.4] < -20


def test_a_turned_head_moves_the_nose_farther_than_the_jaw() -> None:
    person, scene = person_of(9), still(scene_of(10))
    moved = draw_landmarks(person, replace(scene, yaw=0.8), FRAME) - draw_landmarks(person, scene, FRAME)
    assert moved[67, 0] > 5
    assert np.abs(moved[:15, 0]).max() < 1


def test_landmarks_stand_in_the_order_of_muct() -> None:
    points = draw_landmarks(person_of(11), still(scene_of(12)), FRAME)
    assert points.shape == (N_LANDMARKS, 2)
    assert points[0, 0] < points[7, 0] < points[14, 0], "the jaw runs from the viewer's left to the right"
    assert points[7, 1] == points[:15, 1].max(), "its seventh point is the chin"
    assert points[31, 0] < points[67, 0] < points[36, 0], "the nose tip lies between the pupils"
    assert points[31, 1] < points[67, 1] < points[66, 1] < points[7, 1], "eye, nose, mouth, chin"
    assert points[48, 0] < points[54, 0], "the mouth's corners"


def test_landmark_pupils_lie_on_dark_pixels() -> None:
    scene = replace(still(scene_of(13)), blur_px=0.0, look=0.0)
    person = person_of(14)
    grey = pixels_of(draw_photo(person, scene, FRAME)).mean(axis=2)
    x, y = draw_landmarks(person, scene, FRAME)[36].round().astype(int)
    assert grey[y - 1 : y + 2, x - 1 : x + 2].min() < grey.mean() * 0.7


def test_a_pose_scales_and_turns_around_the_point_between_the_eyes() -> None:
    pose = Pose(replace(still(scene_of(15)), roll=90.0, scale=2.0), FRAME)
    assert pose.pixels([(0, 0)], 0).tolist() == [[89, 111]]
    assert pose.pixels([(1, 0)], 0)[0] == pytest.approx([89, 111 + 2 * 57])


def test_a_closed_curve_passes_its_points() -> None:
    points = both([(0, -1), (1, 0), (0, 1)])
    assert points.tolist() == [[0, -1], [1, 0], [0, 1], [-1, 0]]
    assert closed_curve(points, 5)[::5] == pytest.approx(points)
    assert mirror(mirror(points)).tolist() == points.tolist()


def test_colours_stay_colours() -> None:
    assert mix((0, 0, 0), (200, 100, 50), 0.5) == (100, 50, 25)
    assert shade((200, 100, 50), 0.5) == (100, 50, 25)
    assert shade((200, 100, 50), 2.0) == (255, 255, 255)


def test_encoding_follows_the_quality() -> None:
    image = Image.effect_noise((64, 64), 60).convert("RGB")
    assert len(encode_jpeg(image, 40)) < len(encode_jpeg(image, 90))


def test_every_feature_overlaps_between_the_classes(persons: dict[str, list[Person]]) -> None:
    for part, kind in (("shape", Shape), ("hair", Hair), ("style", Style)):
        for index, field in enumerate(fields(kind)):
            values = {name: [astuple(getattr(person, part))[index] for person in persons[name]] for name in CLASSES}
            assert _best_accuracy(*values.values()) < 0.92, f"{part}.{field.name} decides the class"


def _best_accuracy(first: list, second: list) -> float:
    """Give the accuracy of the best threshold, or of the best rule by value for what has no order."""
    if isinstance(first[0], float):
        marks = np.quantile(first + second, np.linspace(0.01, 0.99, 99))
        below = (np.array(first)[:, None] <= marks).mean(axis=0) + (np.array(second)[:, None] > marks).mean(axis=0)
        return float(max(below.max(), 2 - below.min())) / 2
    counts = Counter(first), Counter(second)
    return sum(max(counts[0][value], counts[1][value]) for value in counts[0] | counts[1]) / (2 * len(first))


def test_both_classes_have_short_hair_long_hair_and_no_beard(persons: dict[str, list[Person]]) -> None:
    long_hair = {name: np.mean([person.hair.length in LONG_HAIR for person in persons[name]]) for name in CLASSES}
    assert 0.7 < long_hair["female"] < 0.9
    assert 0.03 < long_hair["male"] < 0.15
    beards = np.mean([person.style.beard != "none" for person in persons["male"]])
    assert 0.3 < beards < 0.6


def test_children_have_no_beard_and_no_make_up(persons: dict[str, list[Person]]) -> None:
    children = [person for name in CLASSES for person in persons[name] if person.age_years < 14]
    assert len(children) > 20
    assert {(person.style.beard, person.style.lipstick, person.style.lashes) for person in children} == {
        ("none", None, False)
    }


def test_attributes_say_what_was_drawn() -> None:
    person = person_of(16, "male")
    bald = replace(person, age_years=70.0, hair=replace(person.hair, length="bald"))
    worn = replace(bald, style=replace(person.style, glasses=(0, 0, 0), beard="full", lipstick=None, necktie=True))
    attributes = celeba_attributes(worn, replace(scene_of(17), smile=0.9, mouth_open=True))
    said = {name for name, holds in attributes.items() if holds}
    assert {"Bald", "Eyeglasses", "Sideburns", "Wearing_Necktie", "Smiling", "Mouth_Slightly_Open"} <= said
    assert not {"No_Beard", "Young", "Wearing_Lipstick", "Gray_Hair", "Bangs", "Black_Hair", "Wavy_Hair"} & said
