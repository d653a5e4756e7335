"""What is compared, on which photos, and which differences are let through."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gender_pipeline.errors import ExportError
from gender_pipeline.export.compare import _agreement, check_exports
from gender_pipeline.export.labelled import labelled_photos
from gender_pipeline.export.settings import ExportSettings, Tolerance
from gender_pipeline.images.decode import decode_rgb
from gender_pipeline.training import TrainedModel
from photo_experiments import RECIPE, Album, split_table

TOLERANCE = Tolerance(equal_labels=0.9, probability_difference=0.1, accuracy_loss=0.05)
SETTINGS = ExportSettings(formats=("onnx", "int8"), tolerances=dict.fromkeys(("keras", "onnx", "int8"), TOLERANCE))
GOOD = {"equal_labels": 0.95, "probability_difference": 0.01, "accuracy_loss": 0.0}
MODEL = TrainedModel(None, RECIPE, ("female", "male"), "pooled", "")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def split() -> tuple[pd.DataFrame, Album]:
    table = split_table({"a": (4, 2, 8), "b": (2, 2, 4)})
    album = Album(len(table))
    return table.assign(image_id=list(album.photos)), album


def test_photos_are_those_of_the_split_with_their_own_labels(split: tuple[pd.DataFrame, Album]) -> None:
    table, album = split
    found = labelled_photos(MODEL, table, album, split="test", n_photos=100)
    assert found.pixels.shape == (12, 32, 32, 3)
    code_of = {decode_rgb(album.photos[row.image_id], 32).tobytes(): row.label == "male" for row in table.itertuples()}
    assert [code_of[pixels.tobytes()] for pixels in found.pixels] == found.codes.tolist()


def test_of_many_photos_the_same_few_are_taken_in_whatever_order_they_come(split: tuple[pd.DataFrame, Album]) -> None:
    table, album = split
    some = labelled_photos(MODEL, table, album, split="test", n_photos=5)
    again = labelled_photos(MODEL, table[::-1], album, split="test", n_photos=5)
    assert (some.pixels == again.pixels).all()
    assert len(some.codes) == 5


def test_photos_of_other_data_sets_and_classes_are_left_out(split: tuple[pd.DataFrame, Album]) -> None:
    table, album = split
    only_b = TrainedModel(None, RECIPE.model_copy(update={"sources": ("b",)}), ("female", "male"), "", "")  # type: ignore[arg-type]
    assert len(labelled_photos(only_b, table, album, split="test", n_photos=100).codes) == 4
    unknown = table.assign(label=table["label"].mask(table["source"] == "a", "other"))
    assert len(labelled_photos(MODEL, unknown, album, split="test", n_photos=100).codes) == 4


def test_without_a_photo_of_its_classes_a_model_cannot_be_compared(split: tuple[pd.DataFrame, Album]) -> None:
    table, album = split
    with pytest.raises(ExportError, match=r"no test photos of the classes female, male; received 22 photos of cat"):
        labelled_photos(MODEL, table.assign(label="cat"), album, split="test", n_photos=9)


@pytest.mark.parametrize(
    ("worse", "message"),
    [
        ({"equal_labels": 0.89}, r"\[int8: at least 90.00% equal labels\]; received \[int8: 89.00%\]"),
        (
            {"probability_difference": 0.2},
            r"\[int8: probabilities that differ by at most 0.1\]; received \[int8: 0.2\]",
        ),
        ({"accuracy_loss": 0.06}, r"\[int8: at most 5.00% less accuracy\]; received \[int8: 6.00%\]"),
    ],
)
def test_each_difference_has_its_limit(worse: dict[str, float], message: str) -> None:
    compared: dict[str, Any] = {"onnx": GOOD, "int8": {**GOOD, **worse}}
    with pytest.raises(ExportError, match=rf"1 of 2 formats differ too much from the model; expected .*{message}"):
        check_exports(compared, SETTINGS)


def test_an_answer_that_is_no_number_is_as_different_as_can_be() -> None:
    answers = np.array([[0.5, 0.5], [np.nan, np.nan]], np.float32)
    found = _agreement(answers, np.array([[0.5, 0.5], [0.75, 0.25]], np.float32), np.array([0, 1]))
    assert found["probability_difference"] == 1.0


def test_more_accuracy_is_no_loss() -> None:
    check_exports({"onnx": {**GOOD, "accuracy_loss": -0.2}}, SETTINGS)


def test_all_that_is_out_of_its_tolerance_is_told_at_once() -> None:
    bad = {"equal_labels": 0.1, "probability_difference": 0.9, "accuracy_loss": 0.9}
    with pytest.raises(ExportError, match=r"2 of 2 formats .* and 1 more; received .* and 1 more; look at the"):
        check_exports({"onnx": bad, "int8": bad}, SETTINGS)


def test_the_command_line_gives_formats_as_a_text() -> None:
    settings = ExportSettings(formats="onnx int8", tolerances=SETTINGS.tolerances)
    assert settings.formats == ("onnx", "int8")


def test_a_format_without_a_tolerance_is_a_mistake_of_the_settings() -> None:
    with pytest.raises(ValueError, match=r"no tolerance for keras, saved_model"):
        ExportSettings(formats=("saved_model", "int8"), tolerances={"int8": TOLERANCE})
