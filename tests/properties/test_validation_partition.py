"""Whatever is wrong with the photos, each is either clean or quarantined, once."""

import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from gender_pipeline.schema import MANIFEST_SCHEMA
from gender_pipeline.validation import ValidationSettings, clean_manifest, find_quarantine

SETTINGS = ValidationSettings()
KEY = ["source", "name"]
sides = st.sampled_from([-1, 0, 31, 32, 178, 8192, 9000])
numbers = st.floats(-300, 300, width=32) | st.sampled_from([float("nan"), float("inf")])
photos = st.fixed_dictionaries(
    {
        "image_id": st.sampled_from("abcd"),
        "source": st.sampled_from(["celeba", "muct"]),
        "name": st.sampled_from([f"{number}.jpg" for number in range(12)]),
        "subject_id": st.sampled_from(["s", "t", "", None]),
        "label": st.sampled_from(["female", "male", "male", "u", "", None]),
        "age_years": st.none() | numbers,
        "width_px": sides,
        "height_px": sides,
        "box": st.none() | st.lists(numbers, max_size=5),
        "problem": st.none() | st.text(max_size=9),
    }
)
# Mostly good photos: else hardly one would reach the last checks.
good = st.fixed_dictionaries(
    {
        "image_id": st.sampled_from("abcd"),
        "source": st.sampled_from(["celeba", "muct"]),
        "name": st.integers(0, 10**6).map("{}.jpg".format),
        "subject_id": st.just("s"),
        "label": st.sampled_from(["female", "male"]),
        "width_px": st.just(178),
        "height_px": st.just(218),
    }
)
manifests = st.lists(good | photos, max_size=20).map(
    lambda rows: pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA).to_pandas()
)


@settings(deadline=None, max_examples=60)
@given(manifests)
def test_clean_and_quarantined_photos_partition_the_manifest(manifest: pd.DataFrame) -> None:
    before = manifest.copy(deep=True)
    quarantine = find_quarantine(manifest, SETTINGS)
    clean = clean_manifest(manifest, quarantine)
    keys = pd.concat([clean[KEY], quarantine[KEY]]).sort_values(KEY, ignore_index=True)
    pd.testing.assert_frame_equal(keys, manifest[KEY].sort_values(KEY, ignore_index=True))
    pd.testing.assert_frame_equal(manifest, before)


@settings(deadline=None, max_examples=60)
@given(manifests)
def test_clean_photos_have_unique_ids_and_names_and_known_labels(manifest: pd.DataFrame) -> None:
    clean = clean_manifest(manifest, find_quarantine(manifest, SETTINGS))
    assert clean["image_id"].is_unique
    assert not clean.duplicated(KEY).any()
    assert clean["label"].isin(SETTINGS.classes).all()
    assert clean["problem"].isna().all()


@settings(deadline=None, max_examples=60)
@given(manifests)
def test_nothing_is_wrong_with_clean_photos(manifest: pd.DataFrame) -> None:
    clean = clean_manifest(manifest, find_quarantine(manifest, SETTINGS))
    assert find_quarantine(clean, SETTINGS).empty
