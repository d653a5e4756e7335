import numpy as np
import pandas as pd
import pytest

from gender_pipeline.evaluation import EvaluationSettings, predictions_table
from gender_pipeline.registration import Champion, RegistrationSettings, score_on_test, write_model_card
from gender_pipeline.registration.proposal import split_digest
from gender_pipeline.training import FeatureCache

SPLIT = pd.DataFrame(
    {
        "image_id": ["a", "b", "c"],
        "source": "s",
        "name": ["a", "b", "c"],
        "subject_id": ["1", "2", "3"],
        "group": ["1", "2", "3"],
        "label": ["female", "male", "male"],
        "split": ["test", "test", "train"],
    }
)
# Of the test photos the candidate has both right.
PREDICTIONS = predictions_table(SPLIT, ("female", "male"), np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]]))


@pytest.mark.parametrize("column", ["image_id", "source", "label", "split"])
def test_the_data_digest_changes_with_what_matters(column) -> None:
    changed = SPLIT.copy()
    changed.loc[0, column] = "other"
    assert split_digest(changed) != split_digest(SPLIT)


def test_the_data_digest_is_independent_of_the_rows_order() -> None:
    assert split_digest(SPLIT[::-1]) == split_digest(SPLIT)


@pytest.fixture
def score(tiny_model, photo_bytes, tmp_path):
    """Score a champion; give the score and the photos that were asked for."""

    def call(recorded=None, crops: int = 1, *, same: bool = False):
        asked: list[str] = []

        class Images:
            def images(self, image_ids):
                asked.extend(image_ids)
                yield from ((image_id, photo_bytes) for image_id in image_ids)

        champion = Champion("7", tiny_model(0), True, recorded, crops)
        answer = score_on_test(
            champion,
            tiny_model(0 if same else 1),
            PREDICTIONS,
            image_shards=Images(),
            feature_cache=FeatureCache(tmp_path),
            evaluation=EvaluationSettings(),
            settings=RegistrationSettings(),
        )
        return answer, sorted(asked)

    return call


def test_a_champion_is_scored_on_the_test_photos_only(score) -> None:
    answer, asked = score()
    assert asked == ["a", "b"]
    assert (answer["version"], answer["class_names"], answer["drawn"]) == ("7", ["female", "male"], True)
    # Both photos are the same, so whichever label it gets, one of the two is right.
    assert (answer["computed"], answer["test"]["difference"]) == (2, 0.5)


def test_photos_the_champion_answered_when_it_was_made_are_not_computed_again(score) -> None:
    recorded = PREDICTIONS.assign(predicted=["male", "female", "male"])
    answer, asked = score(recorded)
    assert (asked, answer["computed"], answer["test"]["difference"]) == ([], 0, 1.0)
    answer, asked = score(recorded[recorded["image_id"] != "b"])
    assert (asked, answer["computed"]) == (["b"], 1)


def test_answers_from_other_crops_or_classes_are_not_taken(score) -> None:
    assert score(PREDICTIONS, crops=10)[0]["computed"] == 2
    assert score(PREDICTIONS.rename(columns={"p_male": "p_man"}))[0]["computed"] == 2


def test_a_champion_equal_to_the_candidate_differs_by_exactly_nothing(score) -> None:
    answer, asked = score(PREDICTIONS.assign(predicted="male"), same=True)
    assert (asked, answer["test"]["difference"], answer["test"]["low"]) == ([], 0, 0)


def test_the_card_says_what_the_label_means_and_shows_test_metrics_with_intervals() -> None:
    metrics = {"test.accuracy": 0.9, "test.accuracy_low": 0.88, "test.accuracy_high": 0.92, "test.celeba.f1": 0.5}
    checks = [{"name": "test.accuracy", "expected": "at least 0.8", "received": "0.9", "passed": bool(np.True_)}]
    verdict = {"passed": True, "champion": "", "checks": checks}
    card = write_model_card({"recipe": "quickstart"}, metrics, verdict, "Drawn faces.")
    assert card.startswith("# quickstart\n")
    assert "annotated apparent gender" in card
    assert "| accuracy | 0.9000 | 0.8800 to 0.9200 |" in card
    assert "celeba" not in card
    assert "| test.accuracy | at least 0.8 | 0.9 | yes |" in card
    assert "There was no production model to compare with." in card
    assert "production version 4 on the same test photos" in write_model_card(
        {"recipe": "quickstart"}, metrics, {**verdict, "champion": "4"}, "Drawn faces."
    )
