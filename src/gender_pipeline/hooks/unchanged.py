"""A whole run that would repeat the last one: how that is told, and the note on the MLflow run it would repeat."""

import platform
import sysconfig
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

import gender_pipeline
from gender_pipeline.errors import NothingToDoError
from gender_pipeline.files import file_digest
from gender_pipeline.reproduction.git import is_repository
from gender_pipeline.scheduling.run_key import LastRun, code_digest, fingerprint, run_key

_MARK: Final = " Since then there was nothing to do: "

Catalog = CatalogProtocol[Any, Any]


def is_whole(pipeline: Pipeline, story: Pipeline) -> bool:
    """Tell whether a run goes all the way from raw archives to a registered model."""
    return set(story.nodes) <= set(pipeline.nodes)


def run_inputs(project: Path, catalog: Catalog, config: Any, *, pipeline: Pipeline, env: str | None) -> dict[str, Any]:
    """Return all that a whole run depends on but the raw files, which it may draw itself.

    Args:
        project: Its `requirements/lock.txt` counts as code.
        catalog: Holds the parameters, and says where files are.
        config: The catalog's configuration.
        pipeline: What runs.
        env: Environment of the configuration.
    """
    parameters = catalog.load("parameters")
    corrections = path_of(catalog, "label_corrections")
    return {
        "parameters": parameters,
        "catalog": config,
        "env": env,
        "nodes": sorted(node.name for node in pipeline.nodes),
        "code": code_digest(Path(gender_pipeline.__file__).parent, project / "requirements" / "lock.txt"),
        "python": platform.python_version(),
        "packages": _packages(),
        # Without git and DVC no version can be rebuilt, nor be promoted.
        "repositories": [is_repository(project), (project / ".dvc").is_dir()],
        "weights": fingerprint(project / parameters["training"].weights),
        "label_corrections": file_digest(corrections) if corrections and corrections.is_file() else None,
    }


def check_unchanged(last: LastRun | None, inputs: dict[str, Any], catalog: Catalog) -> None:
    """End a run that would repeat the last one.

    Args:
        last: The last whole run here.
        inputs: See `run_inputs`.
        catalog: Says where the raw files are, and what the last run wrote.

    Raises:
        NothingToDoError: It would. The MLflow run it would repeat has a note of that.
    """
    if last is None or not _all_there(last.outputs, catalog) or last.key != key_now(inputs, catalog):
        return
    if not _note(last.run_id):
        return
    raise NothingToDoError(
        f"nothing to do: same data, code and parameters as MLflow run {last.run_id} of {last.date} "
        "(kedro run --params force=true runs anyway)"
    )


def key_now(inputs: dict[str, Any], catalog: Catalog) -> str:
    """Return the key of a run with the raw files as they are at this moment."""
    raw = path_of(catalog, "raw_archives")
    return run_key({**inputs, "raw": fingerprint(raw) if raw else None})


def path_of(catalog: Catalog, name: str) -> Path | None:
    """Return where a data set is stored; None for one that is not."""
    return getattr(catalog.get(name), "path", None)


def _packages() -> list[str]:
    """Return names and versions of what is installed; to read each package's metadata would take a second."""
    return sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))


def _all_there(names: Iterable[str], catalog: Catalog) -> bool:
    return all(path.exists() for name in names if (path := path_of(catalog, name)) is not None)


def _note(run_id: str) -> bool:
    """Note on an MLflow run that it was asked for again; return whether the server still has that run."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient()
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    if run.info.lifecycle_stage != "active":
        return False
    now = datetime.now(UTC).isoformat(timespec="seconds")
    count = int(run.data.tags.get("unchanged.count", "0")) + 1
    text = run.data.tags.get("mlflow.note.content", "").partition(_MARK)[0]
    times = "once" if count == 1 else f"{count} times"
    client.set_tag(run_id, "unchanged.count", str(count))
    client.set_tag(run_id, "unchanged.last", now)
    client.set_tag(run_id, "mlflow.note.content", f"{text}{_MARK}{times}, last {now}.")
    return True
