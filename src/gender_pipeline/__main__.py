"""The other door, `gender-pipeline`: everything that is no pipeline. Kedro and MLflow are imported when needed."""

from pathlib import Path

import click

from gender_pipeline import __version__
from gender_pipeline.errors import GenderPipelineError, RegistrationError


class _OneLineErrors(click.Group):
    """Ends with exit code 1 and one line where the work failed; click itself ends with 2 on wrong use."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except GenderPipelineError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_OneLineErrors, epilog="Pipelines run with Kedro: kedro run --help")
@click.version_option(__version__, prog_name="gender-pipeline")
def main() -> None:
    """Commands around the pipeline: draw sample archives, list registered models."""


@main.command(epilog="Example: gender-pipeline sample --subjects 320 --seed 0 data/raw/sample")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--subjects", type=click.IntRange(1, 100_000), default=320, show_default=True, help="How many faces to invent."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed draws other faces.")
def sample(folder: Path, subjects: int, seed: int) -> None:
    """Draw sample archives into FOLDER, in the layouts of MUCT, CelebA and age-gender."""
    from gender_pipeline.sources.sample import SampleSettings, draw_sample

    draw_sample(SampleSettings(seed=seed, n_subjects=subjects), folder)
    click.echo(f"drawn sample of {subjects} subjects in {folder}")


@main.command(epilog="Example: gender-pipeline models --name gender-classifier")
@click.option("--name", default="gender-classifier", show_default=True, help="Name in the model registry.")
def models(name: str) -> None:
    """List the registered versions with aliases, test accuracy, gate and commit."""
    _connect()
    import pandas as pd

    from gender_pipeline.registration.mlflow_client import list_versions

    click.echo(pd.DataFrame(list_versions(name)).to_string(index=False))


def _connect() -> None:
    """Point MLflow at the tracking server of the project around the working directory."""
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project
    from kedro.utils import find_kedro_project

    project = find_kedro_project(Path.cwd())
    if project is None:
        raise RegistrationError(
            "this is not a gender_pipeline project",
            expected="a folder with its pyproject.toml, here or above",
            received=str(Path.cwd()),
            remedy="change into the project",
        )
    bootstrap_project(project)
    # Making the context lets kedro-mlflow set the tracking server of conf/<env>/mlflow.yml.
    KedroSession.create(project).load_context()


if __name__ == "__main__":
    main()
