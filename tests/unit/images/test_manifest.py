import numpy as np
import pandas as pd
import pytest

from gender_pipeline.images.manifest import manifest_digest

MANIFEST = pd.DataFrame(
    {
        "source": ["a", "a", "b"],
        "name": ["1", "2", "1"],
        "image_id": ["x", "y", "z"],
        "subject_id": ["s", "s", "t"],
        "label": ["male", None, "female"],
        "age_years": [30.0, np.nan, 2.5],
        "official_split": [None, "train", "test"],
        "attributes": ["{}", "{}", "{}"],
        "box": [np.array([0.1, 0, 9, 9], np.float32), None, None],
        "landmarks": [None, None, np.arange(2000, dtype=np.float32)],
        "phash": [b"1", b"2", b"3"],
    }
)


def test_the_digest_is_the_same_in_any_order_of_rows() -> None:
    assert manifest_digest(MANIFEST.iloc[::-1]) == manifest_digest(MANIFEST)


@pytest.mark.parametrize(("column", "value"), [("label", "female"), ("image_id", "w"), ("age_years", 31.0)])
def test_what_a_data_set_says_of_a_photo_is_part_of_the_digest(column: str, value: object) -> None:
    changed = MANIFEST.copy()
    changed.loc[0, column] = value
    assert manifest_digest(changed) != manifest_digest(MANIFEST)


def test_every_coordinate_counts_to_the_last_bit() -> None:
    landmarks = MANIFEST["landmarks"][2].copy()
    landmarks[1000] = np.nextafter(landmarks[1000], np.float32(np.inf))
    changed = MANIFEST.assign(landmarks=[None, None, landmarks])
    assert manifest_digest(changed) != manifest_digest(MANIFEST)
