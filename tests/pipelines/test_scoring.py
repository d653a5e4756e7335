"""The scoring pipeline: photos and the model in production in, a table of rows and counts out, again and again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gender_pipeline.errors import SourceError
from gender_pipeline.export.predictor import Predictor
from gender_pipeline.export.tables import ScoringSettings
from gender_pipeline.pipeline_registry import register_pipelines
from gender_pipeline.pipelines.scoring import nodes
from gender_pipeline.registration.mlflow_models import FetchedModel

PRODUCTION = FetchedModel(Path("cache/7"), "gender-classifier", "7", commit="", card="")


@pytest.fixture(autouse=True)
def _by_light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the model in production tell bright photos from dark ones."""

    def light(pixels: np.ndarray) -> np.ndarray:
        share = pixels.mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - share, share], axis=1)

    by_light = Predictor(light, ("dark", "light"), image_size_px=32)
    monkeypatch.setattr(nodes, "load_predictor", {PRODUCTION.folder: by_light}.__getitem__)


def score(folder: Path) -> tuple[pd.DataFrame, dict[str, object]]:
    return nodes.score_photos(PRODUCTION, folder, ScoringSettings())


def test_counts_say_which_version_answered(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "white").save(tmp_path / "white.png")
    (tmp_path / "text.jpg").write_text("no photo")
    rows, counts = score(tmp_path)
    assert list(rows["problem"].isna()) == [False, True]
    assert counts == {
        "model": "gender-classifier", "version": "7",
        "photos": 2, "faces": 1, "without_face": 0, "unreadable": 1, "answers.light": 1,
    }  # fmt: skip


def test_columns_have_the_same_types_whatever_comes_so_that_files_of_many_runs_are_one_table(tmp_path: Path) -> None:
    none, _ = score(tmp_path)
    Image.new("RGB", (9, 9), "white").save(tmp_path / "white.png")
    one, _ = score(tmp_path)
    (tmp_path / "text.jpg").write_text("no photo")
    two, _ = score(tmp_path)
    assert [len(none), len(one), len(two)] == [0, 1, 2]
    assert dict(none.dtypes) == dict(one.dtypes) == dict(two.dtypes)
    for name, rows in {"none": none, "two": two}.items():
        rows.to_parquet(tmp_path / name)
    assert len(pd.read_parquet([tmp_path / "none", tmp_path / "two"])) == 2


def test_a_folder_that_is_not_there_is_an_error_a_user_can_mend(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere does not exist; expected a photo, a folder or an archive"):
        score(tmp_path / "nowhere")


def test_scoring_is_no_part_of_the_whole_run() -> None:
    pipelines = register_pipelines()
    assert not set(pipelines["scoring"].nodes) & set(pipelines["__default__"].nodes)
    assert pipelines["scoring"].inputs() == {"production_model", "photos_to_score", "params:scoring"}
