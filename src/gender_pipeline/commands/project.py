"""The project around the working directory, and its MLflow server."""

from dataclasses import dataclass
from pathlib import Path

from gender_pipeline.errors import RegistrationError


@dataclass(frozen=True, slots=True)
class Environment:
    """What an environment of the configuration names.

    Attributes:
        data_root: Where its data lives.
        experiment: Name of its MLflow experiment.
    """

    data_root: Path
    experiment: str


def find_project() -> Path:
    """Return the folder of the project around the working directory.

    Raises:
        RegistrationError: There is no project around the working directory.
    """
    from kedro.utils import find_kedro_project

    project = find_kedro_project(Path.cwd())
    if project is None:
        raise RegistrationError(
            "this is not a gender_pipeline project",
            expected="a folder with its pyproject.toml, here or above",
            received=str(Path.cwd()),
            remedy="change into the project",
        )
    return Path(project)


def connect() -> Path:
    """Point MLflow at the tracking server of the project around the working directory, and return the project's folder.

    Raises:
        RegistrationError: There is no project around the working directory.
    """
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    project = find_project()
    bootstrap_project(project)
    # Making the context lets kedro-mlflow set the tracking server of conf/<env>/mlflow.yml.
    KedroSession.create(project).load_context()
    return project


def environments(project: Path) -> dict[str, Environment]:
    """Return the environments of the project that `connect` connected to, `base` and those which change it."""
    from kedro.framework.project import settings

    folders = sorted(path.name for path in (project / settings.CONF_SOURCE).iterdir() if path.is_dir())
    found = {}
    for name in folders:
        loader = settings.CONFIG_LOADER_CLASS(
            conf_source=str(project / settings.CONF_SOURCE),
            env=None if name == "base" else name,
            **{**settings.CONFIG_LOADER_ARGS, "config_patterns": {"mlflow": ["mlflow*"]}},
        )
        experiment = loader["mlflow"]["tracking"]["experiment"]["name"]
        found[name] = Environment(project / loader["globals"]["data_root"], experiment)
    return found
