"""The project around the working directory, and its MLflow server."""

from pathlib import Path

from gender_pipeline.errors import RegistrationError


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
