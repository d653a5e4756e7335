"""Kedro's door: `kedro run` as it is, but an error a user can mend is one line instead of a traceback."""

import functools
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.validation.exceptions import ParameterValidationError
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gender_pipeline.errors import GenderPipelineError, NothingToDoError

# What a user can mend, the most telling first.
_MENDABLE = (GenderPipelineError, ParameterValidationError, OmegaConfBaseException, YAMLError)


@click.group(name="gender_pipeline")
def cli() -> None:
    """Commands of this project that Kedro takes over."""


def _in_one_line(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return callback(*args, **kwargs)
        except NothingToDoError as found:
            click.echo(found)
            return None
        except KeyboardInterrupt as stop:
            raise click.ClickException(str(stop) or "stopped") from stop
        except Exception as error:
            for kind in _MENDABLE:
                for cause in _causes(error):
                    if isinstance(cause, kind):
                        raise click.ClickException(" ".join(str(cause).split())) from error
            raise

    return run


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it: Kedro wraps what a data set raises."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


run = copy(kedro_run)
run.callback = _in_one_line(kedro_run.callback or (lambda: None))
cli.add_command(run)
