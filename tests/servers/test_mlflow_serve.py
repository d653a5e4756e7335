"""`mlflow models serve` answers photos sent as JSON as the predictor answers them."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import keras
import mlflow
import pytest
from PIL import Image

from drawn_faces import encoded, face, group
from gender_pipeline.export.predictor import Predictor
from gender_pipeline.export.pyfunc import log_model
from gender_pipeline.recipes import Optimizer, Recipe
from gender_pipeline.training import TrainedModel
from gender_pipeline.zoo import weights_digest
from local_servers import mlflow_model_server

pytestmark = pytest.mark.servers

MODEL = "gender-classifier"
PHOTOS = [encoded(face(seed)) for seed in range(3)]


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """Make a network of one layer, as a model in production."""
    pixels = keras.Input((32, 32, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    network = keras.Model(pixels, keras.layers.Dense(2, "softmax")(pooled))
    settings = {"name": "tiny", "backbone": "efficientnet_lite0", "image_size_px": 32}
    recipe = Recipe(**settings, optimizer=Optimizer(learning_rate=0.1), epochs=1, batch_size=1, patience=1, seed=0)
    return TrainedModel(network, recipe, ("female", "male"), "pooled", weights_digest(network))


@pytest.fixture(scope="module")
def address(model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Register the model, give it the alias, and serve what has the alias."""
    folder = tmp_path_factory.mktemp("registry")
    registry = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(registry)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("serve", (folder / "artifacts").as_uri()))
    with mlflow.start_run():
        uri, _ = log_model(model, "# card")
    version = mlflow.register_model(uri, MODEL)
    mlflow.MlflowClient().set_registered_model_alias(MODEL, "production", version.version)
    mlflow.set_tracking_uri(None)
    environment = {"MLFLOW_TRACKING_URI": registry}
    with mlflow_model_server(f"models:/{MODEL}@production", log=folder / "log", environment=environment) as address:
        yield address


@pytest.fixture(scope="module")
def post(address: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Send JSON as the documentation does, with curl."""
    body = tmp_path_factory.mktemp("request") / "request.json"

    def send(request: dict[str, Any]) -> dict[str, Any]:
        body.write_text(json.dumps(request))
        words = ["curl", "--silent", f"{address}/invocations", "--json", f"@{body}"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return dict(json.loads(done.stdout, parse_constant=pytest.fail))  # NaN is no JSON

    return send


def as_text(photo: bytes) -> str:
    return base64.b64encode(photo).decode()


def records(*photos: bytes) -> list[dict[str, str]]:
    return [{"image": as_text(photo)} for photo in photos]


def test_photos_are_answered_as_the_predictor_answers_them(post, model: TrainedModel) -> None:
    expected = Predictor.of(model).predict(PHOTOS)
    split = {"columns": ["image"], "data": [[as_text(photo)] for photo in PHOTOS]}
    for request in ({"dataframe_split": split}, {"dataframe_records": records(*PHOTOS)}):
        rows = post(request)["predictions"]
        assert [row["label"] for row in rows] == [model.class_names[best] for best in expected.argmax(1)]
        assert [row["probability"] for row in rows] == pytest.approx(list(expected.max(1)), abs=1e-5)
        assert {(row["n_faces"], row["problem"]) for row in rows} == {(1, None)}


def test_bad_bytes_are_answered_with_a_problem_beside_the_good_ones(post) -> None:
    bad, good = post({"dataframe_records": records(b"no photo", PHOTOS[0])})["predictions"]
    problem = "not an image: neither JPEG, PNG, BMP nor WebP"
    assert bad == {"label": None, "probability": None, "n_faces": 0, "problem": problem}
    assert good["problem"] is None


def test_faces_are_looked_for_where_the_request_says_so(post) -> None:
    photos = records(encoded(group([(20, 20), (500, 200)])), encoded(Image.new("RGB", (300, 300))))
    rows = post({"dataframe_records": photos, "params": {"crop": "face"}})["predictions"]
    assert [(row["n_faces"], row["problem"]) for row in rows] == [(2, None), (0, "no face")]


def test_a_crop_that_does_not_exist_is_the_callers_error(post) -> None:
    answer = post({"dataframe_records": records(PHOTOS[0]), "params": {"crop": "nose"}})
    assert (answer["error_code"], "expected one of" in answer["message"]) == ("INVALID_PARAMETER_VALUE", True)
