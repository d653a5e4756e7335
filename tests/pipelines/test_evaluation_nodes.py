"""What the evaluation's nodes hand to the library."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gender_pipeline.errors import TrainingError
from gender_pipeline.evaluation import EvaluationSettings
from gender_pipeline.pipelines.evaluation import nodes
from gender_pipeline.recipes import Recipe

SPLIT = pd.DataFrame({"image_id": list("abcd"), "source": ["muct", "celeba", "muct", "celeba"]})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Photos and crops that were asked for; every answer is the same."""
    calls: list[Any] = []

    def answer(_: Any, image_ids: list[str], *__: Any, crops: int) -> np.ndarray:
        calls.append((image_ids, crops))
        return np.full((len(image_ids), 2), 0.5, np.float32)

    monkeypatch.setattr(nodes, "predict_photos", answer)
    monkeypatch.setattr(nodes.measuring, "predictions_table", lambda rows, *_: rows)
    return calls


def predict(sources: tuple[str, ...], crops: int = 1) -> pd.DataFrame:
    recipe = Recipe.model_construct(name="tiny", sources=sources)
    model: Any = SimpleNamespace(recipe=recipe, class_names=("female", "male"))
    none: Any = None
    return nodes.predict_split(
        model, SPLIT, image_shards=none, feature_cache=none, evaluation=EvaluationSettings(test_crops=crops)
    )


def test_only_photos_of_the_recipes_data_sets_are_answered(asked: list[Any]) -> None:
    assert list(predict(("muct",))["image_id"]) == ["a", "c"]
    assert list(predict(())["image_id"]) == ["a", "b", "c", "d"]
    assert [image_ids for image_ids, _ in asked] == [["a", "c"], ["a", "b", "c", "d"]]


def test_a_recipe_whose_data_set_is_not_there_cannot_be_measured(asked: list[Any]) -> None:
    with pytest.raises(TrainingError, match=r"no photos of peta; expected sources of celeba, muct"):
        predict(("peta",))
    assert asked == []


def test_photos_are_answered_in_as_many_crops_as_set(asked: list[Any]) -> None:
    predict((), crops=5)
    assert asked[0][1] == 5


@pytest.mark.parametrize("crops", [0, 3, 20])
def test_other_numbers_of_crops_are_refused(crops: int) -> None:
    with pytest.raises(ValueError, match="Input should be 1, 2, 5 or 10"):
        EvaluationSettings(test_crops=crops)  # type: ignore[arg-type]


def test_the_report_says_how_many_crops_were_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes.measuring, "write_report", lambda *_, facts, **__: facts)
    monkeypatch.setattr(nodes, "protocol_text", lambda _: "own split")
    model: Any = SimpleNamespace(facts=dict)
    facts: Any = nodes.write_report(
        {},
        {},
        split_audit=pd.DataFrame(),
        quarantine=pd.DataFrame(),
        model=model,
        evaluation=EvaluationSettings(test_crops=10),
        data_note="drawn",
    )
    assert facts["protocol"] == "own split; crops of a photo: 10"
