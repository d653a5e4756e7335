"""The trained model as an MLflow model that takes image bytes; MLflow runs this file by itself when it loads one."""

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

from gender_pipeline.export.predictor import PhotoAnswer, Predictor
from gender_pipeline.training import TrainedModel

REQUIREMENTS = ("dlib-bin", "keras", "numpy", "pandas", "pillow", "pyarrow", "pydantic", "scipy", "tensorflow", "tqdm")
CROPS = ("", "face", "none")  # the first follows the model: a parameter of a signature cannot be None
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("binary", "image")]),
    outputs=Schema(
        [
            ColSpec("string", "label", required=False),
            ColSpec("double", "probability", required=False),
            ColSpec("long", "n_faces"),
            ColSpec("string", "problem", required=False),
        ]
    ),
    params=ParamSchema([ParamSpec("crop", "string", CROPS[0])]),
)


class PhotoClassifier(PythonModel):
    """Answers encoded photos with the label of annotated apparent gender and its probability."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load network, preprocessing and label names."""
        self.predictor = Predictor.of(TrainedModel.load(Path(context.artifacts["model"])))
        self.lock = Lock()  # MLflow's server predicts in threads, and a network is for one at a time

    def predict(  # MLflow names the arguments
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answer N photos, each by its largest face; bad bytes are a row with a problem.

        Args:
            context: Not used.
            model_input: N rows; column `image` holds encoded photos.
            params: `crop`: `face` finds faces, `none` takes photos as they are, and an empty text follows the model.

        Returns:
            N rows: `label`, `probability` (in [0, 1]), `n_faces` (1 for a photo as it is) and `problem`, where there
            is no answer; what is not known is None.

        Raises:
            MlflowException: `crop` is none of these.
        """
        crop = (params or {}).get("crop", CROPS[0])
        if crop not in CROPS:
            raise MlflowException.invalid_parameter_value(f"crop: expected one of {CROPS}, received {crop!r}")
        with self.lock:
            rows = [self._row(answer) for answer in self.predictor.answer(model_input["image"], crop=crop or None)]
        # As objects, None stays None, and null in JSON; as a number it would be NaN, which JSON does not have.
        return pd.DataFrame(rows, columns=SIGNATURE.outputs.input_names(), dtype=object)

    def _row(self, answer: PhotoAnswer) -> tuple[str | None, float | None, int, str | None]:
        if not answer.faces:
            return None, None, 0, answer.problem
        probabilities = answer.faces[0].probabilities
        best = int(probabilities.argmax())
        return self.predictor.class_names[best], float(probabilities[best]), len(answer.faces), None


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
