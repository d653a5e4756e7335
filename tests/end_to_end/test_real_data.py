"""The numbers the documentation gives for real photos, measured by one `kedro run --env real`."""

import json
import resource

import pandas as pd
import pytest

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def evaluated(copy_project, run, real_data):
    folder = copy_project("real")
    run(folder, "kedro", "run", "--env", "real", "--params", f"raw_root={real_data.resolve()}")
    return folder / "data" / "real"


def test_all_photos_are_accounted_for(evaluated) -> None:
    manifest = pd.read_parquet(evaluated / "manifest" / "manifest.parquet")
    assert manifest["source"].value_counts().to_dict() == {"celeba": 10_000, "age_gender": 3_000, "muct": 1_000}
    split = pd.read_parquet(evaluated / "splitting" / "split_manifest.parquet")
    assert len(split) + len(pd.read_csv(evaluated / "validation" / "quarantine.csv")) == 14_000


def test_no_subject_is_in_two_splits(evaluated) -> None:
    split = pd.read_parquet(evaluated / "splitting" / "split_manifest.parquet")
    used = split[split["split"] != "excluded"]
    assert used.groupby(["source", "subject_id"])["split"].nunique().max() == 1


def test_the_frozen_backbone_reaches_what_the_documentation_says(evaluated) -> None:
    metrics = json.loads((evaluated / "evaluation" / "metrics.json").read_text())["test"]
    assert metrics["celeba"]["metrics"]["accuracy"]["value"] >= 0.90
    assert metrics["all"]["metrics"]["accuracy"]["value"] >= 0.88


def test_memory_stays_below_four_gibibytes(evaluated) -> None:  # noqa: ARG001 the run must have been
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 * 2**20  # KiB, on Linux
