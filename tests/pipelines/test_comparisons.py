"""The experiments that train several models, through the files of the catalog."""

from pathlib import Path

import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from gender_pipeline.evaluation import EvaluationSettings
from gender_pipeline.evaluation.comparison import ComparisonSettings
from gender_pipeline.evaluation.cross_source import CrossSourceSettings
from gender_pipeline.pipelines import comparison, cross_source
from gender_pipeline.settings import CONFIG_LOADER_ARGS
from gender_pipeline.training import DeviceSettings
from photo_experiments import RECIPE, tiny_experiment

PROJECT = Path(__file__).parents[2]
WITHOUT_WEIGHTS = RECIPE.model_copy(update={"name": "absent", "weights": "nowhere.safetensors"})
PARAMETERS = {
    "classes": ["female", "male"],
    "evaluation": EvaluationSettings(n_bootstrap=100),
    "devices": DeviceSettings(),
    "training": RECIPE,
    "data_note": "Photos made in code.",
    "comparison": ComparisonSettings(recipes=(WITHOUT_WEIGHTS, RECIPE), timing={"warm_up": 1, "repeats": 1}),
    "cross_source": CrossSourceSettings(min_photos=4),
}


@pytest.fixture
def run(tmp_path):
    """Run a pipeline on photos of two sources, the second without enough test photos; give the folder it wrote."""
    experiment = tiny_experiment(tmp_path / "cache", {"a": (8, 4, 8), "b": (8, 4, 2)})
    given = {"split_manifest": experiment.split_manifest, "image_shards": experiment.images}
    given |= {"feature_cache": experiment.cache, **{f"params:{name}": value for name, value in PARAMETERS.items()}}

    def call(pipeline) -> Path:
        config = OmegaConfigLoader(str(PROJECT / "conf"), env="local", **CONFIG_LOADER_ARGS)["catalog"]
        stored = {name: config[name] for name in pipeline.all_outputs()}
        stored = {name: {**entry, "filepath": str(tmp_path / entry["filepath"])} for name, entry in stored.items()}
        catalog = DataCatalog.from_config(stored)
        for name in pipeline.inputs():
            catalog[name] = MemoryDataset(given[name], copy_mode="assign")
        SequentialRunner().run(pipeline, catalog)
        return tmp_path / "data"

    return call


def test_a_comparison_ends_with_a_table_a_picture_and_a_page(run) -> None:
    folder = run(comparison.create_pipeline()) / "comparison"
    table = pd.read_csv(folder / "comparison.csv")
    assert table["name"].tolist() == ["absent", "tiny"]
    assert table["pareto"].tolist() == [False, True]
    assert (folder / "pictures" / "accuracy_latency_size.png").is_file()
    page = (folder / "comparison.html").read_text("utf-8")
    assert "Photos made in code." in page
    assert "nowhere.safetensors" in page


def test_a_cross_source_evaluation_ends_with_cells_a_matrix_a_picture_and_a_page(run) -> None:
    folder = run(cross_source.create_pipeline()) / "cross_source"
    assert pd.read_csv(folder / "matrix.csv")["trained_on"].tolist() == ["a", "b", "all"]
    assert len(pd.read_csv(folder / "cells.csv")) == 6
    assert (folder / "pictures" / "cross_source.png").is_file()
    assert "no result: 2 test photos, fewer than 4" in (folder / "cross_source.html").read_text("utf-8")
