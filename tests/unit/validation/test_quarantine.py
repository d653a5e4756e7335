from typing import Any

import pandas as pd
import pytest

from gender_pipeline.validation import ValidationSettings, clean_manifest, find_quarantine
from gender_pipeline.validation.quarantine import QUARANTINE_COLUMNS

SETTINGS = ValidationSettings()


def reasons(manifest: pd.DataFrame, settings: ValidationSettings = SETTINGS) -> dict[str, str]:
    quarantine = find_quarantine(manifest, settings)
    return dict(zip(quarantine["name"], quarantine["reason"], strict=True))


def details(manifest: pd.DataFrame) -> list[str]:
    return find_quarantine(manifest, SETTINGS)["detail"].tolist()


def test_good_photos_stay(make_manifest: Any) -> None:
    manifest = make_manifest(10)
    quarantine = find_quarantine(manifest, SETTINGS)
    assert quarantine.empty
    pd.testing.assert_frame_equal(clean_manifest(manifest, quarantine), manifest)


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"problem": "image is truncated"}, "image is truncated", ""),
        ({"problem": "unsafe name: a: b"}, "unsafe name", "a: b"),
        ({"problem": "two\nlines: of\ntext"}, "two\nlines", "of\ntext"),
        ({"subject_id": None}, "no subject", ""),
        ({"subject_id": ""}, "no subject", ""),
        ({"label": None}, "no label", ""),
        ({"label": ""}, "no label", ""),
        ({"label": "u"}, "unknown class", "u, expected female or male"),
        ({"label": "Male"}, "unknown class", "Male, expected female or male"),
        ({"width_px": 31}, "image size out of range", "31 x 218 px, expected sides of 32 to 8192 px"),
        ({"height_px": 9000}, "image size out of range", "178 x 9000 px, expected sides of 32 to 8192 px"),
        ({"width_px": 0, "height_px": 0}, "image size out of range", "0 x 0 px, expected sides of 32 to 8192 px"),
        ({"age_years": -1.0}, "age out of range", "-1.0 years, expected 0 to 120"),
        ({"age_years": 131.0}, "age out of range", "131.0 years, expected 0 to 120"),
        (
            {"box": [300.0, 0.0, 50.0, 50.0]},
            "box outside of the image",
            "[300.0, 0.0, 50.0, 50.0] in an image of 178 x 218 px",
        ),
        ({"box": [1.0, 2.0]}, "box outside of the image", "[1.0, 2.0] in an image of 178 x 218 px"),
    ],
)
def test_a_bad_photo_is_quarantined_with_its_reason(
    make_manifest: Any, change: dict[str, Any], reason: str, detail: str
) -> None:
    manifest = make_manifest([{}, change, {}])
    quarantine = find_quarantine(manifest, SETTINGS)
    assert quarantine.to_dict("records") == [
        {
            "source": "celeba",
            "name": "000001.jpg",
            "image_id": manifest["image_id"][1],
            "reason": reason,
            "detail": detail,
        }
    ]
    assert clean_manifest(manifest, quarantine)["name"].tolist() == ["000000.jpg", "000002.jpg"]


@pytest.mark.parametrize(
    "box", [[0.0, 0.0, 0.0, 5.0], [0.0, 0.0, 5.0, -5.0], [float("nan"), 0.0, 5.0, 5.0], [0.0, -90.0, 50.0, 100.0], []]
)
def test_a_box_without_area_or_with_its_centre_outside_is_bad(make_manifest: Any, box: list[float]) -> None:
    assert reasons(make_manifest([{"box": box}])) == {"000000.jpg": "box outside of the image"}


@pytest.mark.parametrize(
    "box", [None, [-5.0, -5.0, 100.0, 100.0], [0.0, 0.0, 178.0, 218.0], [100.0, 100.0, 120.0, 150.0]]
)
def test_a_box_may_be_missing_or_reach_a_little_over_the_border(make_manifest: Any, box: list[float] | None) -> None:
    assert reasons(make_manifest([{"box": box}])) == {}


def test_an_unknown_age_is_no_fault(make_manifest: Any) -> None:
    assert reasons(make_manifest([{"age_years": None}, {"age_years": 0.0}, {"age_years": 120.0}])) == {}


def test_the_first_reason_wins(make_manifest: Any) -> None:
    change = {"problem": "row without a photo", "label": None, "width_px": 0, "height_px": 0}
    assert reasons(make_manifest([change])) == {"000000.jpg": "row without a photo"}


def test_of_exact_duplicates_the_first_stays(make_manifest: Any) -> None:
    manifest = make_manifest([{"image_id": "x"}, {"image_id": "x"}, {}, {"image_id": "x", "label": "female"}])
    assert reasons(manifest) == {"000001.jpg": "duplicate", "000003.jpg": "duplicate"}
    assert details(manifest) == ["same bytes as celeba/000000.jpg"] * 2


def test_duplicates_are_found_across_sources(make_manifest: Any) -> None:
    manifest = make_manifest([{"image_id": "x"}, {"image_id": "x", "source": "muct"}])
    assert details(manifest) == ["same bytes as celeba/000000.jpg"]


def test_duplicates_that_contradict_each_other_all_go(make_manifest: Any) -> None:
    same = {"image_id": "x"}
    manifest = make_manifest([{**same, "label": "male"}, {**same, "label": "female"}, {**same, "label": "male"}, {}])
    assert reasons(manifest) == dict.fromkeys(["000000.jpg", "000001.jpg", "000002.jpg"], "contradicting labels")
    assert set(details(manifest)) == {"labels female and male"}


def test_a_bad_copy_neither_replaces_nor_contradicts_a_good_one(make_manifest: Any) -> None:
    same = {"image_id": "x"}
    manifest = make_manifest(
        [{**same, "label": None}, {**same, "problem": "blank", "label": "male"}, same | {"label": "female"}]
    )
    assert reasons(manifest) == {"000000.jpg": "no label", "000001.jpg": "blank"}


def test_a_name_that_stands_for_two_photos_is_no_name(make_manifest: Any) -> None:
    manifest = make_manifest([{"name": "a.jpg"}, {"name": "a.jpg"}, {"name": "a.jpg", "source": "muct"}])
    quarantine = find_quarantine(manifest, SETTINGS)
    assert quarantine["reason"].tolist() == ["repeated name"] * 2
    assert clean_manifest(manifest, quarantine)["source"].tolist() == ["muct"]


def test_classes_and_limits_are_settings(make_manifest: Any) -> None:
    settings = ValidationSettings(classes=("cat", "dog"), min_side_px=200, min_age_years=40)
    wide = {"width_px": 200, "label": "dog"}
    manifest = make_manifest([{"label": "cat"}, wide, {**wide, "age_years": 40.0}, {"label": "female"}])
    assert reasons(manifest, settings) == {
        "000000.jpg": "image size out of range",
        "000001.jpg": "age out of range",
        "000003.jpg": "unknown class",
    }


def test_row_numbers_of_the_manifest_have_no_meaning(make_manifest: Any) -> None:
    manifest = make_manifest([{}, {"label": None}, {"image_id": "x"}, {"image_id": "x"}])
    renumbered = manifest.set_index(pd.Index([7, 7, 3, 0]))
    expected = find_quarantine(manifest, SETTINGS)
    pd.testing.assert_frame_equal(find_quarantine(renumbered, SETTINGS), expected)
    pd.testing.assert_frame_equal(clean_manifest(renumbered, expected), clean_manifest(manifest, expected))


def test_a_manifest_without_photos_has_an_empty_quarantine_of_the_same_columns(make_manifest: Any) -> None:
    quarantine = find_quarantine(make_manifest(0), SETTINGS)
    assert quarantine.columns.tolist() == QUARANTINE_COLUMNS
    assert set(quarantine.dtypes.astype(str)) == {"str"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ["female"]}, "at least 2 items"),
        ({"classes": ["male", "male"]}, "classes must differ from each other, received male, male"),
        ({"classes": ["a", "b", "c"], "min_class_share": 0.4}, "min_class_share 0.4 cannot be met by 3 classes"),
        ({"min_side_px": 9000}, "min_side_px and min_age_years must not exceed"),
        ({"max_age_years": 10, "min_age_years": 20}, "min_side_px and min_age_years must not exceed"),
        ({"min_label_coverage": 1.5}, "less than or equal to 1"),
        ({"min_foto": 1}, "Extra inputs are not permitted"),
    ],
)
def test_settings_no_photos_can_meet_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ValidationSettings(**settings)
