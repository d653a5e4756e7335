"""Whoever asks, the model gives one answer: evaluation, predictor, command, Kedro pipeline and MLflow model agree."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from drawn_faces import encoded, face
from gender_pipeline.__main__ import main
from gender_pipeline.export.predictor import Predictor, load_predictor
from gender_pipeline.export.pyfunc import PhotoClassifier
from gender_pipeline.export.tables import ScoringSettings
from gender_pipeline.pipelines.scoring.nodes import score_photos
from gender_pipeline.recipes import Optimizer, Recipe
from gender_pipeline.registration.mlflow_models import FetchedModel
from gender_pipeline.training import FeatureCache, TrainedModel
from gender_pipeline.training.trained_model import predict_photos
from gender_pipeline.zoo import weights_digest

N_PHOTOS = 20


class Photos:
    """A folder of photos as the source of a feature cache; a photo's id is its file's name."""

    def __init__(self, folder: Path) -> None:
        self.names = sorted(path.name for path in folder.iterdir())
        self._folder = folder

    def images(self, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for name in image_ids:
            yield name, (self._folder / name).read_bytes()

    def data(self) -> list[bytes]:
        return [data for _, data in self.images(self.names)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    """Drawn heads, every other one turned by its EXIF tag, and of several sizes and shapes."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(N_PHOTOS):
        head = face(number, 60 + 10 * number).crop((0, 0, 60 + 10 * number, 60 + 5 * number))
        exif = head.getexif()
        exif[0x0112] = 6 if number % 2 else 1
        (folder / f"{number:02}.jpg").write_bytes(encoded(head, exif=exif))
    return Photos(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a network that is cut where the pixels are pooled and whose answers are far apart."""
    import keras

    keras.utils.set_random_seed(3)
    pixels = keras.Input((32, 32, 3), name="pixels")
    seen = keras.layers.Conv2D(8, 5, 3, activation="relu")(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(seen)
    wide = keras.layers.Dense(2, "softmax", kernel_initializer=keras.initializers.RandomNormal(stddev=6))(pooled)
    network = keras.Model(pixels, wide)
    recipe = Recipe(
        name="tiny",
        backbone="efficientnet_lite0",
        image_size_px=32,
        optimizer=Optimizer(learning_rate=0.1),
        epochs=1,
        batch_size=1,
        patience=1,
        seed=0,
    )
    folder = tmp_path_factory.mktemp("model") / "model"
    TrainedModel(network, recipe, ("female", "male"), "pooled", weights_digest(network)).save(folder)
    return folder


@pytest.fixture(scope="module")
def evaluated(model: Path, photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What the evaluation measures: (N, 2), through the cache of features."""
    cache = FeatureCache(tmp_path_factory.mktemp("cache"))
    found = predict_photos(TrainedModel.load(model), photos.names, photos, cache)
    assert np.ptp(found[:, 0]) > 0.1, "a network that says the same of all photos tells nothing"
    return found


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """Tell whether labels are identical and probabilities within 1e-3."""
    assert found.shape == expected.shape
    return bool((found.argmax(1) == expected.argmax(1)).all() and np.abs(found - expected).max() < 1e-3)


@pytest.fixture(scope="module")
def predictor(model: Path) -> Predictor:
    return load_predictor(model)


def test_the_predictor_says_what_was_evaluated(predictor: Predictor, photos: Photos, evaluated: np.ndarray) -> None:
    assert same(predictor.predict(photos.data()), evaluated)


def test_a_stream_of_photos_says_the_same(predictor: Predictor, photos: Photos, evaluated: np.ndarray) -> None:
    answers = list(predictor.answer(iter(photos.data()), crop="none"))
    assert same(np.stack([answer.faces[0].probabilities for answer in answers]), evaluated)


def test_the_command_says_the_same(model: Path, photos: Photos, evaluated: np.ndarray, tmp_path: Path) -> None:
    words = ["predict", str(photos._folder), "--model", str(model), "--crop", "none"]
    done = CliRunner().invoke(main, [*words, "--output", "json", "--to", str(tmp_path / "rows")])
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert [Path(line["photo"]).name for line in lines] == photos.names
    assert same(np.array([[line["faces"][0][f"p_{name}"] for name in ("female", "male")] for line in lines]), evaluated)


def test_the_scoring_pipeline_says_the_same(model: Path, photos: Photos, evaluated: np.ndarray) -> None:
    fetched = FetchedModel(model, "gender-classifier", "7", commit="", card="")
    rows, counts = score_photos(fetched, photos._folder, ScoringSettings(crop="none"))
    assert same(rows[["p_female", "p_male"]].to_numpy(), evaluated)
    assert (counts["model"], counts["version"], counts["faces"]) == ("gender-classifier", "7", N_PHOTOS)


def test_the_mlflow_model_says_the_same(model: Path, photos: Photos, evaluated: np.ndarray) -> None:
    classifier, context = PhotoClassifier(), SimpleNamespace(artifacts={"model": str(model)})
    classifier.load_context(context)
    answers = classifier.predict(context, pd.DataFrame({"image": photos.data()}), {"crop": "none"})
    assert list(answers["label"]) == [("female", "male")[best] for best in evaluated.argmax(1)]
    assert list(answers["probability"]) == pytest.approx(list(evaluated.max(1)), abs=1e-3)
