"""The MLflow model registry: who holds an alias, taking a proposal in, and the table of versions."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from gender_pipeline.errors import RegistrationError
from gender_pipeline.registration.gate import reasons
from gender_pipeline.registration.proposal import Champion, Proposal

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

STAGING = "staging"
PRODUCTION = "production"


class RegisteredVersion(TypedDict):
    """What the registry answered."""

    name: str
    version: str
    aliases: list[str]
    passed: bool
    reasons: list[str]
    reproducible: bool
    run_id: str


def load_champion(model_name: str) -> Champion | None:
    """Return the version that holds `production`, or None where none does.

    Raises:
        RegistrationError: The version's files cannot be read.
    """
    from mlflow.artifacts import download_artifacts

    from gender_pipeline.training import TrainedModel

    version = _holder(_client(), model_name, PRODUCTION)
    if version is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = download_artifacts(f"models:/{model_name}/{version.version}", dst_path=scratch)
            model = TrainedModel.load(Path(folder) / "artifacts" / "model")
        except Exception as error:
            raise RegistrationError(
                f"{model_name} version {version.version} holds '{PRODUCTION}' but cannot be loaded",
                expected="the files it was registered with",
                received=str(error),
                remedy="restore its artifacts, or take the alias from it",
            ) from error
    return Champion(str(version.version), model, drawn=version.tags.get("data.drawn") == "true")


def register(proposal: Proposal) -> RegisteredVersion:
    """Take a proposal in: log and register the model, then move the aliases its verdict allows.

    The same weights on the same data are the same version: proposing them again moves aliases but adds nothing, so a
    run that was killed between the two is completed by the next one.
    """
    client, settings = _client(), proposal.settings
    version = _find_same(client, proposal) or _create(client, proposal)
    passed = proposal.verdict["passed"]
    wanted = [STAGING, *([PRODUCTION] if settings.promote == "auto" else [])] if passed else []
    for alias in wanted:
        holder = _holder(client, settings.model_name, alias)
        if holder is None or str(holder.version) != str(version.version):
            client.set_registered_model_alias(settings.model_name, alias, str(version.version))
    return _answer(client, proposal, str(version.version))


def list_versions(model_name: str) -> list[dict[str, Any]]:
    """Return one row a version, newest first: version, aliases, accuracy, gate, commit, reproducible, created."""
    from mlflow.exceptions import MlflowException

    client = _client()
    try:
        aliases = _aliases(client, model_name)
    except MlflowException as error:
        raise RegistrationError(
            f"the registry has no model named '{model_name}'", remedy="run the pipeline first: kedro run"
        ) from error
    versions = client.search_model_versions(f"name='{model_name}'")
    return [
        {
            "version": str(version.version),
            "aliases": ", ".join(sorted(aliases.get(str(version.version), []))),
            "accuracy": version.tags.get("test.accuracy", ""),
            "gate": version.tags.get("gate", ""),
            "recipe": version.tags.get("recipe", ""),
            "commit": version.tags.get("git.commit", "")[:10],
            "reproducible": version.tags.get("reproducible", ""),
            "created": datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
        }
        for version in sorted(versions, key=lambda version: -int(version.version))
    ]


# MLflow's SQL store gives version numbers as int, its REST store as str: compare them as str.
def _client() -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient()


def _holder(client: "MlflowClient", model_name: str, alias: str) -> "ModelVersion | None":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(model_name, alias)
    except MlflowException as error:
        # A missing alias is answered with the second code, a missing model with the first.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _find_same(client: "MlflowClient", proposal: Proposal) -> "ModelVersion | None":
    same = [
        version
        for version in client.search_model_versions(f"name='{proposal.settings.model_name}'")
        if version.tags.get("weights.digest") == proposal.model.weights_digest
        and version.tags.get("data.digest") == proposal.data_digest
    ]
    return max(same, key=lambda version: int(version.version), default=None)


def _create(client: "MlflowClient", proposal: Proposal) -> "ModelVersion":
    import mlflow

    from gender_pipeline.export.pyfunc import log_model

    model_uri, run_id = log_model(proposal.model, proposal.model_card)
    tags = _version_tags(proposal, client.get_run(run_id).data)
    version = mlflow.register_model(model_uri, proposal.settings.model_name, tags=tags)
    client.update_model_version(version.name, version.version, description=proposal.model_card)
    return client.get_model_version(version.name, version.version)


def _version_tags(proposal: Proposal, run: Any) -> dict[str, str]:
    commit = run.tags.get("git.commit", "unknown")
    reproducible = commit != "unknown" and run.tags.get("git.dirty") == "false"
    failed = {f"gate.reason.{number}": reason for number, reason in enumerate(reasons(proposal.verdict), 1)}
    return {
        "weights.digest": proposal.model.weights_digest,
        "data.digest": proposal.data_digest,
        "data.drawn": str(proposal.settings.drawn).lower(),
        "recipe": proposal.model.recipe.name,
        "classes": ", ".join(proposal.model.class_names),
        "gate": "passed" if proposal.verdict["passed"] else "failed",
        "git.commit": commit,
        "reproducible": str(reproducible).lower(),
        "test.accuracy": f"{run.metrics.get('test.accuracy', float('nan')):.4f}",
        **failed,
    }


def _aliases(client: "MlflowClient", model_name: str) -> dict[str, list[str]]:
    held: dict[str, list[str]] = {}
    for alias, version in client.get_registered_model(model_name).aliases.items():
        held.setdefault(str(version), []).append(alias)
    return held


def _answer(client: "MlflowClient", proposal: Proposal, number: str) -> RegisteredVersion:
    name = proposal.settings.model_name
    version = client.get_model_version(name, number)
    return RegisteredVersion(
        name=name,
        version=number,
        aliases=sorted(_aliases(client, name).get(number, [])),
        passed=proposal.verdict["passed"],
        reasons=reasons(proposal.verdict),
        reproducible=version.tags.get("reproducible") == "true",
        run_id=str(version.run_id),
    )
