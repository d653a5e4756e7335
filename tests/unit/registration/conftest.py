import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from gender_pipeline.recipes import Optimizer, Recipe
from gender_pipeline.training import TrainedModel


@pytest.fixture(scope="session")
def tiny_model() -> Callable[[int], TrainedModel]:
    """Make trained models of a few weights; another seed gives other weights."""
    import keras

    from gender_pipeline.zoo import weights_digest

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

    def make(seed: int) -> TrainedModel:
        keras.utils.set_random_seed(seed)
        pixels = keras.Input((32, 32, 3), name="pixels")
        pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(pixels)
        network = keras.Model(pixels, keras.layers.Dense(2, "softmax", name="probabilities")(pooled), name="tiny")
        return TrainedModel(network, recipe, ("female", "male"), "pooled", weights_digest(network))

    return make


@pytest.fixture(scope="session")
def photo_bytes() -> bytes:
    """Make an encoded photo."""
    file = BytesIO()
    Image.effect_noise((40, 50), 80).convert("RGB").save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """Make an MLflow database with its tables, which takes seconds."""
    import mlflow

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def server(tmp_path, empty_database) -> Iterator[Path]:
    """Point MLflow at an empty database of its own; give the folder it is in."""
    import mlflow

    shutil.copy(empty_database, tmp_path / "mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = mlflow.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment(experiment_id=experiment)
    yield tmp_path
    mlflow.set_tracking_uri(None)
