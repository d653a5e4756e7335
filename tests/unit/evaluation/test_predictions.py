import numpy as np
import pandas as pd
import pytest

from gender_pipeline.errors import EvaluationError
from gender_pipeline.evaluation import predictions_digest, predictions_table
from gender_pipeline.evaluation.predictions import class_names_of, read_answers
from prediction_tables import GENDERS, predicted_photos, split_photos

PHOTOS = split_photos(["male", "female", "male"])


def test_a_row_is_a_photo_with_its_label_the_answer_and_all_probabilities() -> None:
    table = predictions_table(PHOTOS, GENDERS, np.array([[0.25, 0.75], [0.75, 0.25], [0.75, 0.25]]))
    assert list(table.columns) == [
        *["image_id", "source", "name", "subject_id", "group", "split", "label"],
        *["predicted", "probability", "p_female", "p_male"],
    ]
    assert table["predicted"].tolist() == ["male", "female", "female"]
    assert table["probability"].tolist() == [0.75, 0.75, 0.75]
    assert table["p_male"].tolist() == [0.75, 0.25, 0.25]
    assert table[["probability", "p_female", "p_male"]].dtypes.eq(np.float32).all()


def test_of_equally_probable_classes_the_first_is_predicted() -> None:
    assert predictions_table(PHOTOS, GENDERS, np.full((3, 2), 0.5))["predicted"].unique().tolist() == ["female"]


def test_the_rows_keep_the_order_of_the_manifest_and_the_manifest_stays_as_it_was() -> None:
    manifest = PHOTOS.sample(frac=1, random_state=0)
    before = manifest.copy()
    table = predictions_table(manifest, GENDERS, np.full((3, 2), 0.5))
    assert table["image_id"].tolist() == manifest["image_id"].tolist()
    assert table.index.tolist() == [0, 1, 2]
    pd.testing.assert_frame_equal(manifest, before)


def test_a_table_without_photos_has_all_columns() -> None:
    table = predictions_table(PHOTOS.head(0), GENDERS, np.empty((0, 2)))
    assert len(table) == 0
    assert class_names_of(table) == GENDERS


def test_the_classes_are_read_in_the_order_of_the_columns() -> None:
    names = ("z", "p_a", "predicted", "größe $1")
    assert class_names_of(predictions_table(split_photos(["z"]), names, np.array([[0.7, 0.1, 0.1, 0.1]]))) == names


@pytest.mark.parametrize(
    ("class_names", "shape"), [(GENDERS, (2, 2)), (GENDERS, (3, 3)), (("male",), (3, 1)), (GENDERS, (3,))]
)
def test_probabilities_which_do_not_fit_are_refused(class_names: tuple[str, ...], shape: tuple[int, ...]) -> None:
    with pytest.raises(EvaluationError, match="do not fit the photos and classes; expected shape"):
        predictions_table(PHOTOS, class_names, np.full(shape, 0.5))


@pytest.mark.parametrize("row", [[np.nan, np.nan], [np.inf, 0.0], [-0.5, 1.5], [0.5, 0.6], [0.0, 0.0]])
def test_what_is_no_probability_is_refused(row: list[float]) -> None:
    with pytest.raises(EvaluationError, match="1 of 3 photos have no valid probabilities; expected finite"):
        predictions_table(PHOTOS, GENDERS, np.array([[0.5, 0.5], row, [0.1, 0.9]]))


def test_probabilities_may_be_as_rough_as_bfloat16_makes_them() -> None:
    assert len(predictions_table(PHOTOS, GENDERS, np.full((3, 2), 0.502)))


def test_labels_and_answers_become_class_codes() -> None:
    answers = read_answers(predicted_photos(["male", "female"], [0.25, 0.25]))
    assert answers.truth.tolist() == [1, 0]
    assert answers.predicted.tolist() == [0, 0]
    assert answers.probabilities.tolist() == [[0.75, 0.25], [0.75, 0.25]]
    assert answers.confidence.tolist() == [0.75, 0.75]


def test_what_the_table_says_was_predicted_is_measured() -> None:
    table = predicted_photos(["male"], [0.25]).assign(predicted="male")
    assert read_answers(table).confidence.tolist() == [0.25]


@pytest.mark.parametrize("label", ["divers", None])
@pytest.mark.parametrize("column", ["label", "predicted"])
def test_a_label_which_is_no_class_is_refused(column: str, label: str | None) -> None:
    table = predicted_photos(["male", "male"], [0.25, 0.5])
    table.loc[1, column] = label
    with pytest.raises(EvaluationError, match=f"column {column} holds .* expected female, male; received (divers|nan)"):
        read_answers(table)


@pytest.mark.parametrize("column", ["group", "label", "predicted", "p_male"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(EvaluationError, match="predictions table lacks columns; expected image_id"):
        read_answers(predicted_photos(["male"], [0.5]).drop(columns=column))


def test_the_digest_is_the_same_in_any_order_of_rows() -> None:
    table = predictions_table(PHOTOS, GENDERS, np.array([[0.25, 0.75], [0.75, 0.25], [0.7, 0.3]]))
    assert predictions_digest(table.sample(frac=1, random_state=1)) == predictions_digest(table)


@pytest.mark.parametrize(
    ("column", "value"), [("label", "male"), ("image_id", "z"), ("p_male", np.float32(0.25000003))]
)
def test_another_photo_label_or_last_bit_of_a_probability_is_another_digest(column: str, value: object) -> None:
    table = predictions_table(PHOTOS, GENDERS, np.array([[0.25, 0.75], [0.75, 0.25], [0.7, 0.3]]))
    changed = table.copy()
    changed.loc[1, column] = value
    assert predictions_digest(changed) != predictions_digest(table)
