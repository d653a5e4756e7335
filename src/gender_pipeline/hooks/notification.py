"""What is told of a run that has ended: how, of what, how good, and where to look."""

from dataclasses import dataclass
from typing import Any, Final

from kedro.io import CatalogProtocol

from gender_pipeline.scheduling.notices import without_credentials

_METRICS: Final = frozenset({"test.accuracy"})


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run from its beginning.

    Attributes:
        project: The project's folder.
        host: The machine.
        env: Environment of the configuration.
        recipe: Name of the recipe.
        pipelines: Names of the pipelines; empty for all chapters.
        run_id: The MLflow run; empty where there is none.
    """

    project: str
    host: str
    env: str
    recipe: str
    pipelines: str
    run_id: str = ""


def failed_event(facts: RunFacts, failure: str) -> dict[str, Any]:
    """Return the event of a run that failed or was stopped."""
    text = f"{_name(facts)} failed on {facts.host}: {failure}"
    return {"what": "failed", "text": text, "failure": failure, **_common(facts)}


def finished_event(facts: RunFacts, catalog: CatalogProtocol[Any, Any]) -> dict[str, Any]:
    """Return the event of a run that registered a version: `promoted` where that holds `production`."""
    answer = catalog.load("registered_model")
    promoted = "production" in answer["aliases"]
    version = f"{answer['name']} version {answer['version']}"
    ending = "is in production" if promoted else f"was not promoted: {'; '.join(answer['reasons']) or 'as configured'}"
    return {
        "what": "promoted" if promoted else "not_promoted",
        "text": f"{_name(facts)}: {version} {ending}",
        "model": answer["name"],
        "version": str(answer["version"]),
        "aliases": answer["aliases"],
        "reasons": answer["reasons"],
        **_common(facts),
    }


def _name(facts: RunFacts) -> str:
    return f"Run of {facts.recipe} ({facts.env})"


def _common(facts: RunFacts) -> dict[str, Any]:
    import mlflow

    metrics = mlflow.MlflowClient().get_run(facts.run_id).data.metrics if facts.run_id else {}
    return {
        "project": facts.project,
        "host": facts.host,
        "env": facts.env,
        "recipe": facts.recipe,
        "pipelines": facts.pipelines,
        "run_id": facts.run_id,
        # Metrics are named chapter/name.
        "metrics": {short: value for name, value in metrics.items() if (short := name.rpartition("/")[2]) in _METRICS},
        "tracking_uri": without_credentials(mlflow.get_tracking_uri()),
    }
