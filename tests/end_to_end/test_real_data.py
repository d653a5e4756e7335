"""The numbers the documentation gives for real photos, measured by one `kedro run --env real`."""

import json
import resource
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from gender_pipeline.export.pyfunc import PhotoClassifier
from gender_pipeline.export.settings import ExportSettings, Tolerance
from gender_pipeline.export.write import describe, write_exports
from gender_pipeline.images.shards import ShardStore
from gender_pipeline.serving.app import create_app
from gender_pipeline.serving.models import ModelHolder, file_model
from gender_pipeline.serving.settings import ServeSettings
from gender_pipeline.training import TrainedModel

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def evaluated(copy_project, run, real_data):
    folder = copy_project("real")
    run(folder, "kedro", "run", "--env", "real", "--params", f"raw_root={real_data.resolve()}")
    return folder / "data" / "real"


def test_all_photos_are_accounted_for(evaluated) -> None:
    manifest = pd.read_parquet(evaluated / "manifest" / "manifest.parquet")
    assert manifest["source"].value_counts().to_dict() == {"celeba": 10_000, "age_gender": 3_000, "muct": 1_000}
    split = pd.read_parquet(evaluated / "splitting" / "split_manifest.parquet")
    assert len(split) + len(pd.read_csv(evaluated / "validation" / "quarantine.csv")) == 14_000


def test_no_subject_is_in_two_splits(evaluated) -> None:
    split = pd.read_parquet(evaluated / "splitting" / "split_manifest.parquet")
    used = split[split["split"] != "excluded"]
    assert used.groupby(["source", "subject_id"])["split"].nunique().max() == 1


def test_the_frozen_backbone_reaches_what_the_documentation_says(evaluated) -> None:
    metrics = json.loads((evaluated / "evaluation" / "metrics.json").read_text())["test"]
    assert metrics["celeba"]["metrics"]["accuracy"]["value"] >= 0.90
    assert metrics["all"]["metrics"]["accuracy"]["value"] >= 0.88


def test_memory_stays_below_four_gibibytes(evaluated) -> None:  # noqa: ARG001 the run must have been
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 * 2**20  # KiB, on Linux


@pytest.fixture(scope="module")
def answers(evaluated) -> pd.DataFrame:
    """What the evaluation says of the test photos, by photo."""
    rows = pd.read_parquet(evaluated / "evaluation" / "predictions.parquet")
    return rows[rows["split"] == "test"].drop_duplicates("image_id").set_index("image_id")


@pytest.fixture(scope="module")
def archive(evaluated, answers, tmp_path_factory) -> Path:
    """The test photos as somebody would hand them over."""
    path = tmp_path_factory.mktemp("handed") / "test.zip"
    with ZipFile(path, "w") as file:
        for image_id, data in ShardStore(evaluated / "images").images(list(answers.index)):
            file.writestr(f"{image_id}.jpg", data)
    return path


@pytest.fixture(scope="module")
def models(evaluated, tmp_path_factory) -> dict[str, Path]:
    """The model, and its float32 exports."""
    folder, exports = evaluated / "training" / "model", tmp_path_factory.mktemp("exports") / "model"
    model = TrainedModel.load(folder)
    anything = Tolerance(equal_labels=0, probability_difference=1, accuracy_loss=1)
    settings = ExportSettings(
        formats=("onnx", "float32"), tolerances=dict.fromkeys(("keras", "onnx", "float32"), anything)
    )
    about, photos = describe(model, name="real", version="", commit=""), np.empty((0, 160, 160, 3), np.uint8)
    write_exports(exports, model_folder=folder, settings=settings, photos=photos, about=about, card="")
    return {"keras": folder, "onnx": exports / "model.onnx", "litert": exports / "float32.tflite"}


@pytest.mark.parametrize("kind", ["keras", "onnx", "litert"])
def test_the_command_says_of_every_test_photo_what_was_evaluated(kind, models, archive, answers, tmp_path, run) -> None:
    words = ["--model", str(models[kind]), "--crop", "none", "--output", "parquet", "--to", str(tmp_path / "rows")]
    run(tmp_path, "gender-pipeline", "predict", str(archive), *words)
    rows = pd.read_parquet(tmp_path / "rows")
    rows = rows.set_index(rows["photo"].str.extract(r"(\w{64})\.jpg$", expand=False)).loc[answers.index]
    assert len(rows) >= 1000
    assert (rows["label"] == answers["predicted"]).all()
    assert (rows["p_male"] - answers["p_male"]).abs().max() < 1e-3


def test_mlflows_model_says_of_every_test_photo_what_was_evaluated(models, archive, answers) -> None:
    class Context:
        artifacts = {"model": str(models["keras"])}  # noqa: RUF012

    classifier = PhotoClassifier()
    classifier.load_context(Context())
    with ZipFile(archive) as file:
        photos = pd.DataFrame({"image": [file.read(f"{image_id}.jpg") for image_id in answers.index]})
    rows = classifier.predict(Context(), photos, {"crop": "none"}).set_index(answers.index)
    assert (rows["label"] == answers["predicted"]).all()
    assert (rows["probability"] - answers["probability"]).abs().max() < 1e-3


def test_the_server_says_of_every_test_photo_what_was_evaluated(models, archive, answers) -> None:
    holder = ModelHolder(lambda _: file_model(models["keras"]))
    holder.load_first()
    found = {}
    with ZipFile(archive) as file, TestClient(create_app(holder, ServeSettings())) as client:
        for start in range(0, len(answers), 32):
            ids = answers.index[start : start + 32]
            photos = [("photos", (image_id, file.read(f"{image_id}.jpg"))) for image_id in ids]
            answer = client.post("/predict?crop=none", files=photos)
            assert answer.status_code == 200
            found |= {photo["name"]: photo["faces"][0] for photo in answer.json()["photos"]}
    rows = pd.DataFrame.from_dict(found, orient="index").loc[answers.index]
    assert (rows["label"] == answers["predicted"]).all()
    assert (rows["probability"] - answers["probability"]).abs().max() < 1e-3
