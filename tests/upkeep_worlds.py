"""Small stores for the tests of upkeep: objects in DVC's cache by hand, runs and models in MLflow."""

import hashlib
import json
from pathlib import Path
from typing import Any

import mlflow

from gender_pipeline.reproduction.git import commit_tree

CODE = """\
import mlflow

class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input

mlflow.models.set_model(Echo())
"""


def put_object(project: Path, content: bytes, suffix: str = "") -> str:
    """Write an object into the project's DVC cache; return its md5."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() + suffix
    path = object_path(project, md5)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5


def put_folder(project: Path, files: dict[str, bytes]) -> str:
    """Write a folder into the project's DVC cache; return the md5 of its listing."""
    listing = [{"md5": put_object(project, content), "relpath": name} for name, content in files.items()]
    return put_object(project, json.dumps(listing).encode(), ".dir")


def object_path(project: Path, md5: str) -> Path:
    """Return where DVC keeps an object."""
    return project / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]


def pointer(md5: str) -> str:
    """Return the text of a `.dvc` file."""
    return f"outs:\n- md5: {md5}\n  hash: md5\n  path: raw\n"


def capture(project: Path, run_id: str, *md5s: str) -> str:
    """Commit pointers under the ref of a run; return the commit."""
    files = {f"data/reproduction/raw/{number}.dvc": pointer(md5) for number, md5 in enumerate(md5s)}
    return commit_tree(project, files, ref=f"refs/runs/{run_id}", message="a run")


def log_run(folder: Path, **tags: str) -> str:
    """Log a run with Data Docs, tables and parameters, and a model; return its id."""
    code = folder / "echo.py"
    code.write_text(CODE)
    with mlflow.start_run(tags=tags) as run:
        mlflow.log_text("<html>" * 100, "validation/great_expectations/data_docs/index.html")
        mlflow.log_text("<html>" * 50, "validation/data_docs.html")
        mlflow.log_text("rows" * 50, "evaluation/predictions.parquet")
        mlflow.log_text("rows" * 30, "splitting/split_manifest.parquet")
        mlflow.log_dict({"recipe": "tiny"}, "parameters.yml")
        mlflow.pyfunc.log_model(name="model", python_model=str(code), pip_requirements=["mlflow"])
    return str(run.info.run_id)


def register(run_id: str, name: str = "gender-classifier", **tags: str) -> str:
    """Register the model of a run; return the version's number."""
    return str(mlflow.register_model(model_uri(run_id), name, tags=tags).version)


def model_uri(run_id: str) -> str:
    """Return the URI of the model that a run logged."""
    return f"models:/{_model(run_id).model_id}"


def model_folder(run_id: str) -> Path:
    """Return the folder of the model that a run logged."""
    return Path(_model(run_id).artifact_location.removeprefix("file://"))


def artifact_names(run_id: str) -> set[str]:
    """Return the files among a run's artifacts."""
    root = Path(mlflow.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def _model(run_id: str) -> Any:
    (model,) = mlflow.search_logged_models(filter_string=f"source_run_id='{run_id}'", output_format="list")
    return model
