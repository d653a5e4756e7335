import numpy as np
import pandas as pd
import pytest

from gender_pipeline.registration import Champion, score_on_test, write_model_card
from gender_pipeline.registration.proposal import split_digest
from gender_pipeline.training import FeatureCache

SPLIT = pd.DataFrame(
    {
        "image_id": ["a", "b", "c"],
        "source": "s",
        "label": ["female", "male", "male"],
        "split": ["test", "test", "train"],
    }
)


@pytest.mark.parametrize("column", ["image_id", "source", "label", "split"])
def test_the_data_digest_changes_with_what_matters(column) -> None:
    changed = SPLIT.copy()
    changed.loc[0, column] = "other"
    assert split_digest(changed) != split_digest(SPLIT)


def test_the_data_digest_is_independent_of_the_rows_order() -> None:
    assert split_digest(SPLIT[::-1]) == split_digest(SPLIT)


def test_a_champion_is_scored_on_the_test_photos_only(tiny_model, photo_bytes, tmp_path) -> None:
    asked: list[str] = []

    class Images:
        def images(self, image_ids):
            asked.extend(image_ids)
            yield from ((image_id, photo_bytes) for image_id in image_ids)

    model = tiny_model(0)
    score = score_on_test(
        Champion("7", model, drawn=True), SPLIT, image_shards=Images(), feature_cache=FeatureCache(tmp_path)
    )
    assert sorted(asked) == ["a", "b"]
    # Both photos are the same, so whichever label it gets, one of the two is right.
    assert score == {"version": "7", "accuracy": 0.5, "class_names": ["female", "male"], "drawn": True}


def test_the_card_says_what_the_label_means_and_shows_test_metrics_with_intervals() -> None:
    metrics = {"test.accuracy": 0.9, "test.accuracy_low": 0.88, "test.accuracy_high": 0.92, "test.celeba.f1": 0.5}
    checks = [{"name": "test.accuracy", "expected": "at least 0.8", "received": "0.9", "passed": bool(np.True_)}]
    card = write_model_card({"recipe": "quickstart"}, metrics, {"passed": True, "checks": checks}, "Drawn faces.")
    assert card.startswith("# quickstart\n")
    assert "annotated apparent gender" in card
    assert "| accuracy | 0.9000 | 0.8800 to 0.9200 |" in card
    assert "celeba" not in card
    assert "| test.accuracy | at least 0.8 | 0.9 | yes |" in card
