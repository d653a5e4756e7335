"""MLflow runs whose process did not close them: an error outside of the nodes, a signal, a kill."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_CONTEXT: Final = "MLFLOW_RUN_CONTEXT"
SESSION_TAG: Final = "session"


@contextmanager
def session_tag(session: str) -> Iterator[None]:
    """Give each MLflow run this process opens a tag from its very creation, by which it is found again.

    MLflow takes further tags of new runs from a variable; to set the tag later would leave runs without it where the
    process is killed in between.
    """
    before = os.environ.get(_CONTEXT)
    os.environ[_CONTEXT] = json.dumps({**json.loads(before or "{}"), SESSION_TAG: session})
    try:
        yield
    finally:
        os.environ.pop(_CONTEXT)
        if before is not None:
            os.environ[_CONTEXT] = before


def mark_killed(session: str, reason: str) -> int:
    """Mark the MLflow runs that a killed process left open, and return how many there were."""
    from mlflow import MlflowClient

    client = MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    condition = f"tags.`{SESSION_TAG}` = '{session}' and attributes.status = 'RUNNING'"
    runs = client.search_runs(experiments, condition)
    for run in runs:
        client.set_tag(run.info.run_id, "failure", reason[:5000])
        client.set_terminated(run.info.run_id, "KILLED")
    return len(runs)


def close_open_runs(status: str, reason: str) -> None:
    """Close what is still open in this process, a nested run before its parent.

    Args:
        status: `FAILED` or `KILLED`.
        reason: Why.
    """
    import mlflow

    while mlflow.active_run() is not None:
        mlflow.set_tag("failure", reason[:5000])
        mlflow.end_run(status)
