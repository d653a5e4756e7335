"""Manifests made in code."""

import hashlib
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from gender_pipeline.schema import MANIFEST_SCHEMA

Make = Callable[..., pd.DataFrame]


def good_row(number: int) -> dict[str, Any]:
    """Two photos a subject; subjects are female and male in turn."""
    return {
        "image_id": hashlib.sha256(str(number).encode()).hexdigest(),
        "source": "celeba",
        "name": f"{number:06}.jpg",
        "subject_id": f"s{number // 2}",
        "label": ("female", "male")[number // 2 % 2],
        "age_years": 30.0,
        "attributes": "{}",
        "width_px": 178,
        "height_px": 218,
        "box": [10.0, 20.0, 100.0, 120.0],
        "phash": number.to_bytes(32, "big"),
        "contrast": 50.0,
        "grey": False,
        "publishable": False,
    }


@pytest.fixture(scope="session")
def make_manifest() -> Make:
    """Give a function: one dict of changes a photo, or a number of good photos; all photos share `shared`."""

    def make(changes: list[dict[str, Any]] | int, **shared: Any) -> pd.DataFrame:
        each = [{}] * changes if isinstance(changes, int) else changes
        rows = [{**good_row(number), **shared, **change} for number, change in enumerate(each)]
        return pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA).to_pandas()

    return make
