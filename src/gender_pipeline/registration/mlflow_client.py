"""The MLflow model registry: the champion, taking a proposal in, and the versions there are."""

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

import pandas as pd
import yaml

from gender_pipeline.errors import RegistrationError
from gender_pipeline.registration.gate import Check, reasons
from gender_pipeline.registration.mlflow_moves import FILES_REMOVED, advance, settle
from gender_pipeline.registration.mover import mover
from gender_pipeline.registration.moves import PRODUCTION
from gender_pipeline.registration.proposal import Champion, Proposal

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# Of these a version carries the value as a tag, so that versions can be compared without their runs.
MAIN_METRICS: Final = ("test.accuracy", "test.f1", "test.roc_auc")
_DESCRIPTION_LENGTH: Final = 5000


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

    number = settle(model_name).get(PRODUCTION)
    if number is None:
        return None
    version = _client().get_model_version(model_name, number)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = download_artifacts(f"models:/{model_name}/{number}", dst_path=scratch)
            model = TrainedModel.load(Path(folder) / "artifacts" / "model")
        except Exception as error:
            raise RegistrationError(
                f"{model_name} version {number} holds '{PRODUCTION}' but cannot be loaded",
                expected="the files it was registered with",
                received=str(error),
                remedy="restore its artifacts, or take the alias from it",
            ) from error
    recorded, crops = _recorded_predictions(str(version.run_id))
    return Champion(number, model, version.tags.get("data.drawn") == "true", recorded, crops)


def register(proposal: Proposal) -> RegisteredVersion:
    """Take a proposal in: log and register the model, then make the moves its verdict allows.

    The same weights on the same data are the same version: proposing them again adds nothing, so a run that was killed
    between registering and moving is completed by the next one.
    """
    settings, version = proposal.settings, _take_in(proposal)
    number = str(version.version)
    hindrances = reasons([*proposal.verdict["checks"], _reproducible(version.tags)])
    if not hindrances:
        hindrances = advance(
            settings.model_name,
            number,
            champion=proposal.verdict["champion"],
            to_production=settings.promote == "auto",
            by=mover(),
            why=f"passed the gate in run {version.run_id}",
        )
    holders = settle(settings.model_name)
    return RegisteredVersion(
        name=settings.model_name,
        version=number,
        aliases=sorted(alias for alias, holder in holders.items() if holder == number),
        passed=proposal.verdict["passed"],
        reasons=hindrances,
        reproducible=version.tags.get("reproducible") == "true",
        run_id=str(version.run_id),
    )


def find_version(model_name: str, text: str) -> str:
    """Return the number of a version given as number or as `@alias`.

    Raises:
        RegistrationError: There is no such version.
    """
    from mlflow.exceptions import MlflowException

    number = settle(model_name).get(text[1:], "") if text.startswith("@") else text
    try:
        return str(_client().get_model_version(model_name, number).version)
    except MlflowException as error:
        raise RegistrationError(
            f"{model_name} has no version {text}",
            expected="a number, @staging, @production or @previous",
            remedy="`gender-pipeline models` lists the versions",
        ) from error


def delete_version(model_name: str, number: str) -> None:
    """Delete a version that holds no alias.

    Raises:
        RegistrationError: It holds one.
    """
    if held := sorted(alias for alias, holder in settle(model_name).items() if holder == number):
        raise RegistrationError(
            f"{model_name} version {number} cannot be deleted",
            expected="a version without an alias",
            received=f"the holder of {', '.join(held)}",
            remedy="promote another version first; the one that `previous` names is what a rollback needs",
        )
    _client().delete_model_version(model_name, number)


def list_versions(model_name: str) -> list[dict[str, Any]]:
    """Return one row a version, newest first: version, aliases, metrics, gate, where it comes from, when it was made.

    Raises:
        RegistrationError: The registry has no such model.
    """
    holders = settle(model_name)
    versions = _client().search_model_versions(f"name='{model_name}'")
    if not versions:
        raise RegistrationError(
            f"the registry has no model named '{model_name}'", remedy="run the pipeline first: kedro run"
        )
    return [_row(version, holders) for version in sorted(versions, key=lambda version: -int(version.version))]


def _row(version: "ModelVersion", holders: Mapping[str, str]) -> dict[str, Any]:
    tags, number = version.tags, str(version.version)
    return {
        "version": number,
        "aliases": ", ".join(sorted(alias for alias, holder in holders.items() if holder == number)),
        **{name.removeprefix("test."): tags.get(name, "") for name in MAIN_METRICS},
        "gate": tags.get("gate", ""),
        "reproducible": tags.get("reproducible", ""),
        "recipe": tags.get("recipe", ""),
        "commit": tags.get("run.commit", tags.get("git.commit", ""))[:10],
        "data": tags.get("data.digest", "")[:10],
        "created": datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
    }


def _client() -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient()


def _recorded_predictions(run_id: str) -> tuple[pd.DataFrame | None, int]:
    """Return the predictions table of a run and its crops a photo; no table where either cannot be read."""
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as scratch:
        try:
            paths = [
                download_artifacts(run_id=run_id, artifact_path=path, dst_path=scratch)
                for path in ("parameters.yml", "evaluation/predictions.parquet")
            ]
            crops = int(yaml.safe_load(Path(paths[0]).read_text("utf-8"))["evaluation"]["test_crops"])
            return pd.read_parquet(paths[1]), crops
        except Exception:  # whatever is wrong with them: they spare work, and can be had without
            return None, 1


def _take_in(proposal: Proposal) -> "ModelVersion":
    """Return the proposal's version, registering it where there is none yet, with this verdict as its tags."""
    import mlflow

    from gender_pipeline.export.pyfunc import log_model

    client, name = _client(), proposal.settings.model_name
    run_tags = _run_tags(client)
    version = _find_same(client, proposal, run_tags)
    if version is None:
        model_uri, _ = log_model(proposal.model, proposal.model_card)
        version = mlflow.register_model(model_uri, name, tags=_version_tags(proposal, run_tags))
    number, verdict = str(version.version), _verdict_tags(proposal)
    for stale in [tag for tag in version.tags if tag.startswith("gate.reason.") and tag not in verdict]:
        client.delete_model_version_tag(name, number, stale)
    for tag, value in verdict.items():
        client.set_model_version_tag(name, number, tag, value)
    # PostgreSQL refuses a longer one; the whole card is an artifact of the run.
    client.update_model_version(name, number, description=proposal.model_card[:_DESCRIPTION_LENGTH])
    return client.get_model_version(name, number)


def _run_tags(client: "MlflowClient") -> dict[str, str]:
    import mlflow

    active = mlflow.active_run()
    return dict(client.get_run(active.info.run_id).data.tags) if active else {}


def _find_same(client: "MlflowClient", proposal: Proposal, run_tags: Mapping[str, str]) -> "ModelVersion | None":
    # A version that cannot be rebuilt is not the same as one that can: this run would give it a commit.
    wanted = {"weights.digest": proposal.model.weights_digest, "data.digest": proposal.data_digest}
    wanted |= {"reproducible": "true"} if run_tags.get("reproducible") == "true" else {}
    same = [
        version
        for version in client.search_model_versions(f"name='{proposal.settings.model_name}'")
        if wanted.items() <= version.tags.items() and FILES_REMOVED not in version.tags
    ]
    return max(same, key=lambda version: int(version.version), default=None)


def _version_tags(proposal: Proposal, run_tags: Mapping[str, str]) -> dict[str, str]:
    reproducible = run_tags.get("reproducible") == "true"
    origin = {name: run_tags[name] for name in ("run.commit", "reproducible.why") if name in run_tags}
    return {
        "weights.digest": proposal.model.weights_digest,
        "data.digest": proposal.data_digest,
        "data.drawn": str(proposal.settings.drawn).lower(),
        "recipe": proposal.model.recipe.name,
        "classes": ", ".join(proposal.model.class_names),
        "git.commit": run_tags.get("git.commit", "unknown"),
        "reproducible": str(reproducible).lower(),
        **origin,
        **{name: f"{proposal.metrics[name]:.4f}" for name in MAIN_METRICS if name in proposal.metrics},
        **_verdict_tags(proposal),
    }


def _verdict_tags(proposal: Proposal) -> dict[str, str]:
    verdict = proposal.verdict
    failed = {f"gate.reason.{number}": reason for number, reason in enumerate(reasons(verdict["checks"]), 1)}
    return {"gate": "passed" if verdict["passed"] else "failed", **failed}


def _reproducible(tags: Mapping[str, str]) -> Check:
    return Check(
        name="reproducible",
        expected="a run that can be rebuilt from a commit",
        received=tags.get("reproducible.why", "a run that was not captured"),
        passed=tags.get("reproducible") == "true",
    )
