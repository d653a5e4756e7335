"""The manifest as a whole."""

from typing import Final

import numpy as np
import pandas as pd

from gender_pipeline.files import text_digest

# Of what is measured in a photo's bytes, the digest of those bytes speaks.
_ANNOTATIONS: Final = ["source", "name", "image_id", "subject_id", "label", "age_years", "official_split", "attributes"]
_COORDINATES: Final = ["box", "landmarks"]


def manifest_digest(manifest: pd.DataFrame) -> str:
    """Return the sha256 over the photos and all that their data sets say of them; the rows' order is no part."""
    rows = manifest.sort_values(["source", "name", "image_id"])
    table = rows[_ANNOTATIONS].copy()
    for column in _COORDINATES:
        # In full: an array as text would be rounded.
        table[column] = [None if numbers is None else np.asarray(numbers).tolist() for numbers in rows[column]]
    return text_digest(table.to_csv(index=False, lineterminator="\n"))
