"""The MLflow model: one row a photo, whatever its bytes are."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from PIL import Image

from drawn_faces import encoded, group
from gender_pipeline.export import pyfunc
from gender_pipeline.export.predictor import Predictor
from gender_pipeline.export.pyfunc import SIGNATURE, PhotoClassifier


@pytest.fixture
def ask(by_light: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    """Call a served model whose network tells bright photos from dark ones."""
    monkeypatch.setattr(pyfunc.TrainedModel, "load", lambda folder: folder)
    monkeypatch.setattr(pyfunc.Predictor, "of", lambda _: by_light)
    classifier, context = PhotoClassifier(), SimpleNamespace(artifacts={"model": str(tmp_path)})
    classifier.load_context(context)

    def call(*photos: bytes, **params: Any) -> list[dict[str, Any]]:
        return classifier.predict(context, pd.DataFrame({"image": photos}), params or None).to_dict("records")

    return call


def test_bad_bytes_are_a_row_with_a_problem_and_spoil_no_other_row(ask) -> None:
    bad, white = ask(b"no photo", encoded(Image.new("RGB", (9, 9), "white")))
    problem = "not an image: neither JPEG, PNG, BMP nor WebP"
    assert bad == {"label": None, "probability": None, "n_faces": 0, "problem": problem}
    assert white == {"label": "light", "probability": pytest.approx(1), "n_faces": 1, "problem": None}


def test_of_several_faces_the_largest_is_answered_and_all_are_counted(ask) -> None:
    two, none = encoded(group([(20, 20), (500, 200)])), encoded(group([]))
    answers = ask(two, none, crop="face")
    assert [answer["n_faces"] for answer in answers] == [2, 0]
    assert [answer["problem"] for answer in answers] == [None, "no face"]


@pytest.mark.parametrize("params", [{}, {"crop": ""}, {"crop": "none"}])
def test_an_empty_crop_follows_the_model(ask, params: dict[str, str]) -> None:
    (answer,) = ask(encoded(group([])), **params)
    assert answer["label"] == "light"


def test_another_crop_is_an_error_that_says_which_there_are(ask) -> None:
    with pytest.raises(MlflowException, match=r"crop: expected one of \('', 'face', 'none'\), received 'nose'"):
        ask(b"", crop="nose")


def test_no_photos_give_no_rows(ask) -> None:
    assert ask() == []


def test_the_signature_names_the_columns_that_come(ask) -> None:
    (answer,) = ask(b"")
    assert list(answer) == SIGNATURE.outputs.input_names()
    assert SIGNATURE.inputs.input_names() == ["image"]
