"""What reproduction needs of MLflow: find the run that a target means, open a run for the reproduction, read both."""

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlparse

from gender_pipeline.errors import ReproductionError
from gender_pipeline.reproduction.verdict import RunRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient

_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
_VERSION: Final = re.compile(r"(?:(?P<name>[\w .-]+)/)?(?:(?P<number>\d{1,9})|@(?P<alias>[\w-]+))")


def find_run_id(target: str, model_name: str, commit: str | None) -> str:
    """Return the id of the run that a target means.

    Args:
        target: `gender-classifier/3`, `3`, `gender-classifier/@production`, `@production`, a run id, or a git commit.
        model_name: The model that a version without a name belongs to.
        commit: The 40 digits that git makes of the target, or None where it is no commit.

    Raises:
        ReproductionError: There is no such version, or no run of such a commit.
    """
    client = _client()
    if version := _VERSION.fullmatch(target):
        return _run_of_version(client, version["name"] or model_name, version["number"], version["alias"])
    if _RUN_ID.fullmatch(target):
        return target
    if commit is None:
        raise ReproductionError(
            f"{target!r} is neither a version nor a run nor a commit",
            expected="such as gender-classifier/3, @production, the id of an MLflow run, or a git commit",
            remedy="`gender-pipeline models` lists the versions",
        )
    return _run_of_commit(client, commit)


def read_run(run_id: str) -> RunRecord:
    """Read a run.

    Raises:
        ReproductionError: The server has no such run.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = _client().get_run(run_id)
    except MlflowException as error:
        raise ReproductionError(f"the MLflow server has no run {run_id}", remedy="check MLFLOW_TRACKING_URI") from error
    start, end = run.info.start_time, run.info.end_time
    seconds = (end - start) / 1000 if end else float("nan")
    return RunRecord(run_id, dict(run.data.tags), dict(run.data.metrics), seconds)


def open_run(recorded: RunRecord) -> tuple[str, str]:
    """Make a run in the experiment of reproductions; return its id and that experiment's name."""
    client = _client()
    experiment = client.get_experiment(client.get_run(recorded.run_id).info.experiment_id)
    name = f"{experiment.name} reproductions"
    # Two at once may both find none: the second creation fails, and then there is one.
    known = client.get_experiment_by_name(name)
    experiment_id = known.experiment_id if known else _create_experiment(client, name, experiment.artifact_location)
    run = client.create_run(experiment_id, tags={"reproduces": recorded.run_id})
    return run.info.run_id, name


def close_run(run_id: str, note: str, *, result: str) -> None:
    """Note the outcome on the run of the reproduction; a run that its process left open is marked as failed."""
    client = _client()
    client.set_tag(run_id, "reproduction", result)
    client.set_tag(run_id, "mlflow.note.content", note)
    if client.get_run(run_id).info.status == "RUNNING":
        client.set_terminated(run_id, "FAILED")


def tracking_uri() -> str:
    """Return the address of the MLflow server in use."""
    import mlflow

    return str(mlflow.get_tracking_uri())


def log_table(run_id: str, text: str) -> None:
    """Keep the verdict's table (CSV) with the run of the reproduction."""
    _client().log_text(run_id, text, "reproduction/verdict.csv")


def _client() -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient()


def _run_of_version(client: "MlflowClient", name: str, number: str | None, alias: str | None) -> str:
    from mlflow.exceptions import MlflowException

    try:
        version: Any = (
            client.get_model_version(name, number) if number else client.get_model_version_by_alias(name, str(alias))
        )
    except MlflowException as error:
        raise ReproductionError(
            f"the registry has no {name} {number or f'@{alias}'}",
            remedy="`gender-pipeline models` lists the versions",
        ) from error
    return str(version.run_id)


def _run_of_commit(client: "MlflowClient", commit: str) -> str:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    for tag in ("run.commit", "git.commit"):
        condition = f"tags.`{tag}` = '{commit}' and attributes.status = 'FINISHED'"
        runs = client.search_runs(experiments, condition, order_by=["attributes.start_time DESC"])
        captured = [run for run in runs if "run.commit" in run.data.tags]
        if captured:
            return str(captured[0].info.run_id)
    raise ReproductionError(
        f"the MLflow server has no finished run of commit {commit[:10]}",
        expected="a run that registered a model",
        remedy="name a version; `gender-pipeline models` lists them with their commits",
    )


def _create_experiment(client: "MlflowClient", name: str, location: str) -> str:
    from mlflow.exceptions import MlflowException

    # A server chooses the place of artifacts by itself; without one they go where those of the project are.
    own = location if urlparse(location).scheme in ("", "file") else None
    try:
        return str(client.create_experiment(name, artifact_location=own))
    except MlflowException:
        known = client.get_experiment_by_name(name)
        if known is None:
            raise
        return str(known.experiment_id)
