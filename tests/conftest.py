"""Fixtures all tests share."""

import os
from pathlib import Path

import pytest

# Tests have servers of their own: never the one of whoever runs them.
os.environ.pop("MLFLOW_TRACKING_URI", None)

PROJECT = Path(__file__).parents[1]
REAL_DATA = PROJECT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Give the folder of real photos, or skip."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real photos: ../shared/data does not exist")
    return REAL_DATA
