"""The files of a registered version, for whoever puts it to work."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gender_pipeline.errors import RegistrationError
from gender_pipeline.files import atomic_folder
from gender_pipeline.registration.mlflow_client import find_version

_KEPT: Final = 3  # versions on disk: the one asked for and those before it, for a rollback


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A registered version on disk.

    Attributes:
        folder: What `TrainedModel.load` and `load_predictor` read.
        name: Its name in the registry.
        version: Its number.
        commit: The git commit it can be rebuilt from; empty where none is known.
        card: Its model card, Markdown.
    """

    folder: Path
    name: str
    version: str
    commit: str
    card: str


def version_of(name: str, reference: str) -> str:
    """Return the number of the version that a number, or an alias such as `@production`, names now.

    Raises:
        RegistrationError: There is no such version, or nothing holds the alias.
    """
    return find_version(name, reference)


def fetch_model(name: str, reference: str, folder: Path) -> FetchedModel:
    """Copy the files of a registered version into a folder of its own; what is there is not fetched again.

    Args:
        name: Name in the registry.
        reference: A number, or an alias such as `@production`.
        folder: Where the version gets its folder, named by its number and its run: numbers of another registry are
            other models.

    Raises:
        RegistrationError: There is no such version, or its files cannot be had.
    """
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    number = version_of(name, reference)
    version = MlflowClient().get_model_version(name, number)
    destination = folder / f"{number}-{version.run_id}"
    if not destination.is_dir():
        try:
            with tempfile.TemporaryDirectory() as scratch, atomic_folder(destination) as temporary:
                files = Path(download_artifacts(f"models:/{name}/{number}", dst_path=scratch))
                shutil.copytree(files / "artifacts" / "model", temporary, dirs_exist_ok=True)
        except Exception as error:  # stores of many kinds, each with errors of its own
            raise RegistrationError(
                f"the files of {name} version {number} cannot be had",
                expected="the files it was registered with",
                received=f"{type(error).__name__}: {error}"[:300],
                remedy="reach the artifact store, or restore what was removed from it",
            ) from error
    destination.touch()
    _sweep(folder)
    commit = version.tags.get("run.commit", version.tags.get("git.commit", ""))
    return FetchedModel(destination, name, number, commit, str(version.description or ""))


def _sweep(folder: Path) -> None:
    """Delete the versions that were asked for the longest ago."""
    versions = [path for path in folder.glob("[0-9]*-*") if path.is_dir()]
    for path in sorted(versions, key=lambda path: path.stat().st_mtime_ns, reverse=True)[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
