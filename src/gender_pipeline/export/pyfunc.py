"""The trained model as an MLflow model that takes image bytes; MLflow runs this file by itself when it loads one."""

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types.schema import ColSpec, Schema

from gender_pipeline.export.predictor import Predictor
from gender_pipeline.training import TrainedModel

REQUIREMENTS = ("keras", "numpy", "pandas", "pillow", "pyarrow", "pydantic", "scipy", "tensorflow", "tqdm")
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("binary", "image")]),
    outputs=Schema([ColSpec("string", "label"), ColSpec("double", "probability")]),
)


class PhotoClassifier(PythonModel):
    """Answers encoded photos with the label of annotated apparent gender and its probability."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load network, preprocessing and label names."""
        self.predictor = Predictor.of(TrainedModel.load(Path(context.artifacts["model"])))

    def predict(  # MLflow names the arguments
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: Any = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return `label` and `probability` (float64 in [0, 1]) of N photos; column `image` holds their bytes."""
        probabilities = self.predictor.predict(list(model_input["image"]))
        best = probabilities.argmax(axis=1)
        labels = [self.predictor.class_names[index] for index in best]
        return pd.DataFrame({"label": labels, "probability": probabilities.max(axis=1).astype("float64")})


def log_model(model: TrainedModel, model_card: str) -> tuple[str, str]:
    """Log a model with signature, requirements, code and card to the active run.

    Returns:
        The model's URI and the run's id.
    """
    package = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as scratch:
        model.save(Path(scratch) / "model")
        # Byte code is not source: without it the model's code is the same for every interpreter.
        code = shutil.copytree(package, Path(scratch) / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code / "export" / "pyfunc.py"),
            artifacts={"model": str(Path(scratch) / "model")},
            code_paths=[str(code)],
            signature=SIGNATURE,
            pip_requirements=[f"mlflow=={version('mlflow')}", *(f"{name}=={version(name)}" for name in REQUIREMENTS)],
            metadata={"classes": ", ".join(model.class_names), "model_card": model_card},
        )
    return info.model_uri, info.run_id


if __name__ != "gender_pipeline.export.pyfunc":
    mlflow.models.set_model(PhotoClassifier())
