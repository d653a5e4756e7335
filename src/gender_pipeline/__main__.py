"""The other door, `gender-pipeline`: everything that is no pipeline. Kedro and MLflow are imported when needed."""

import os

import click

from gender_pipeline import __version__
from gender_pipeline.commands import clean, data, predict, registry, reproduce, schedule, serve, weights
from gender_pipeline.errors import GenderPipelineError


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
    """Commands around the pipeline: data, weights, registered models."""


COMMANDS = (
    data.sample,
    data.accept_corrections,
    weights.convert_weights,
    predict.predict,
    serve.serve,
    registry.models,
    registry.promote,
    registry.rollback,
    registry.moves,
    registry.delete_version,
    reproduce.reproduce,
    schedule.schedule,
    clean.clean,
)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's greetings are no part of an answer
for command in COMMANDS:
    main.add_command(command)


if __name__ == "__main__":
    main()
