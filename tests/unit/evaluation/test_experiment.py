import pandas as pd
import pytest

from gender_pipeline.errors import EvaluationError
from gender_pipeline.evaluation.experiment import Experiment
from photo_experiments import FAST, split_table

TABLE = split_table({"b": (4, 2, 2), "a": (4, 2, 2)})


def experiment(manifest: pd.DataFrame) -> Experiment:
    return Experiment(("female", "male"), manifest, None, None, FAST)


def test_sources_are_those_with_photos_in_use() -> None:
    manifest = TABLE.assign(split=TABLE["split"].mask(TABLE["source"] == "b", "excluded"))
    assert experiment(TABLE).sources() == ["a", "b"]
    assert experiment(manifest).sources() == ["a"]


def test_a_restriction_keeps_the_photos_of_its_sources_and_none_keeps_all() -> None:
    assert set(experiment(TABLE).restricted_to(["b"]).split_manifest["source"]) == {"b"}
    assert len(experiment(TABLE).restricted_to([]).split_manifest) == len(TABLE)


def test_an_unknown_source_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(EvaluationError, match="unknown sources; expected some of a, b; received c"):
        experiment(TABLE).restricted_to(["a", "c"])


def test_photos_without_a_test_part_are_refused_before_anything_is_trained() -> None:
    with pytest.raises(EvaluationError, match="no test photos to compare on; received the splits train, validation"):
        experiment(TABLE[TABLE["split"] != "test"])
