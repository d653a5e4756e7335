"""What upkeep needs of MLflow: the versions and who is held, the large artifacts of runs and models, and removing them.

Nothing that MLflow says is taken as a path: places are put together from the experiment's place and checked ids, and
what MLflow has elsewhere is left alone.
"""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlparse
from urllib.request import url2pathname

from gender_pipeline.errors import UpkeepError
from gender_pipeline.registration.mlflow_moves import read_log
from gender_pipeline.registration.moves import fold, of_versions
from gender_pipeline.upkeep.disk import is_own
from gender_pipeline.upkeep.plan import OF_RUNS, Artifact, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

REMOVED: Final = "files.removed"  # tag of a version whose files went: the day, ISO 8601
_PAGE: Final = 1000
_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
_MODEL_ID: Final = re.compile(r"m-[0-9a-f]{32}")


def versions() -> list[Version]:
    """Return all versions of all models on the server."""
    client = _client()
    found = list(_pages(lambda token: client.search_model_versions(max_results=_PAGE, page_token=token)))
    held = {
        name: _held(client, name, {str(it.version) for it in found if it.name == name})
        for name in {it.name for it in found}
    }
    return [
        Version(
            name=it.name,
            number=str(it.version),
            run_id=str(it.run_id),
            source=str(it.source),
            commit=it.tags.get("run.commit", ""),
            made_s=it.creation_timestamp / 1000,
            held=str(it.version) in held[it.name],
        )
        for it in found
    ]


def run_ended_s(run_id: str) -> float:
    """Return when a run ended, in seconds since 1970; infinite while it is open or where the server has none such."""
    from mlflow.exceptions import MlflowException

    try:
        return _ended_s(_client().get_run(run_id))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        # Perhaps this is only the wrong server: whose runs they are, it does not say.
        return math.inf


def artifacts(experiment_name: str, before_s: float) -> Iterator[Artifact]:
    """Yield what is large among the artifacts of an experiment's runs and models that are older than a time."""
    client = _client()
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is None or experiment.lifecycle_stage != "active":
        return
    ids = [experiment.experiment_id]
    for run in _pages(lambda token: client.search_runs(ids, max_results=_PAGE, page_token=token)):
        if _ended_s(run) < before_s:
            yield from _of_run(experiment, run)
    for model in _pages(lambda token: client.search_logged_models(ids, max_results=_PAGE, page_token=token)):
        if model.creation_timestamp / 1000 < before_s:
            yield from _of_model(experiment, model)


def remove_artifact(uri: str) -> None:
    """Remove a file or folder of a run.

    Raises:
        UpkeepError: Its store cannot remove anything, or refuses.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    folder, _, name = uri.rpartition("/")
    try:
        repository: Any = get_artifact_repository(folder)
        repository.delete_artifacts(name)
    except Exception as error:  # each kind of store has errors of its own
        raise UpkeepError(f"{uri} cannot be removed", received=str(error), remedy="check the store's rights") from error


def remove_model(uri: str, day: str) -> None:
    """Remove the files of a model, after its versions are tagged as having none: those cannot be promoted any more.

    Raises:
        UpkeepError: A version of it has taken an alias just now; its files stay.
    """
    client, source = _client(), f"models:/{uri.split('/')[-2]}"
    tagged = [version for version in versions() if version.source == source]
    for version in tagged:
        client.set_model_version_tag(version.name, version.number, REMOVED, day)
    # Who wanted to promote one of them did so before the tag, and it shows by now.
    if any(version.held for version in versions() if version.source == source):
        for version in tagged:
            client.delete_model_version_tag(version.name, version.number, REMOVED)
        raise UpkeepError(f"a version took an alias meanwhile, so {uri} stays", remedy="start again")
    remove_artifact(uri)


def _held(client: "MlflowClient", name: str, numbers: set[str]) -> set[str]:
    """Return the versions that hold an alias of whatever name, or will once the log of moves is followed."""
    aliases = client.get_registered_model(name).aliases
    return {str(version) for version in aliases.values()} | set(
        fold(of_versions(read_log(client, name), numbers)).values()
    )


def _of_run(experiment: "Experiment", run: "Run") -> Iterator[Artifact]:
    run_id, ended_s = str(run.info.run_id), _ended_s(run)
    uri = _checked(experiment, run_id, _RUN_ID, below="")
    if uri != run.info.artifact_uri:
        return
    for path, kind in OF_RUNS.items():
        if n_bytes := _size(experiment, uri, path):
            yield Artifact(kind, f"{uri}/{path}", run_id, "", ended_s, n_bytes)


def _of_model(experiment: "Experiment", model: Any) -> Iterator[Artifact]:
    uri = _checked(experiment, model.model_id, _MODEL_ID, below="/models")
    if uri != model.artifact_location:
        return
    if n_bytes := _size(experiment, uri, ""):
        source, made_s = f"models:/{model.model_id}", model.creation_timestamp / 1000
        yield Artifact("model files", uri, str(model.source_run_id), source, made_s, n_bytes)


def _checked(experiment: "Experiment", name: str, pattern: re.Pattern[str], *, below: str) -> str:
    """Return where MLflow puts the artifacts of a run or model; empty for what is no id."""
    location = experiment.artifact_location.rstrip("/")
    return f"{location}{below}/{name}/artifacts" if pattern.fullmatch(name) else ""


def _size(experiment: "Experiment", uri: str, path: str) -> int:
    """Return the bytes of a file, or of a folder with all below it; 0 where it is not there or reached by a link."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    local = _local(uri)
    if local is not None and not is_own(Path(_local(experiment.artifact_location) or ""), (local / path).parent):
        return 0
    repository = get_artifact_repository(uri)
    parent = path.rpartition("/")[0]
    return sum(
        _bytes_below(repository, entry)
        for entry in repository.list_artifacts(parent or None)
        if not path or entry.path == path
    )


def _bytes_below(repository: Any, entry: Any) -> int:
    if not entry.is_dir:
        return int(entry.file_size or 0)
    return sum(_bytes_below(repository, inner) for inner in repository.list_artifacts(entry.path))


def _local(uri: str) -> Path | None:
    address = urlparse(uri)
    return Path(url2pathname(address.path)) if address.scheme in ("", "file") else None


def _ended_s(run: "Run") -> float:
    ended = run.info.end_time
    return ended / 1000 if ended and run.info.status not in ("RUNNING", "SCHEDULED") else math.inf


def _pages(search: Callable[[str | None], Any]) -> Iterator[Any]:
    token = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def _client() -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient()
