"""The command that makes the project run by itself."""

import os
import sys
from pathlib import Path
from typing import Protocol

import click

from gender_pipeline.commands.project import find_project
from gender_pipeline.errors import ScheduleError, examples
from gender_pipeline.scheduling.entries import Entry

_HOW = {
    "cron": "add this line with `crontab -e`, or let --write do it",
    "systemd": "put these two files into ~/.config/systemd/user and enable the timer, or let --write do it",
    "airflow": "put this file into Airflow's folder of DAGs, or let --write do it",
}


class Scheduler(Protocol):
    """Something that starts runs at set times."""

    def text(self, entry: Entry) -> str:
        """Return the entry as it stands in the scheduler's files."""

    def install(self, entry: Entry) -> str:
        """Put the entry in place, instead of one of the same name; return what was done."""

    def remove(self, name: str) -> bool:
        """Take the entry of a name out, and tell whether it was there."""


def _default_dags() -> str:
    return str(Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "dags")


@click.command(epilog='Example: gender-pipeline schedule --cron --at "0 3 * * *" --write')
@click.option("--cron", "kind", flag_value="cron", help="A line in your crontab.")
@click.option("--systemd", "kind", flag_value="systemd", help="A service and a timer of your systemd.")
@click.option("--airflow", "kind", flag_value="airflow", help="A DAG file for Airflow.")
@click.option("--write", "action", flag_value="write", help="Put the entry in place instead of printing it.")
@click.option("--remove", "action", flag_value="remove", help="Take the entry of this name out again.")
@click.option("--at", default="0 3 * * *", show_default=True, help="When, as a cron expression.")
@click.option("--name", default="gender_pipeline", show_default=True, help="Another name is another entry.")
@click.option("--env", default="", help="As in `kedro run`.")
@click.option("--pipelines", default="", help="As in `kedro run`.")
@click.option("--params", default="", help="As in `kedro run`.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=_default_dags,
    show_default="dags in $AIRFLOW_HOME",
    help="Airflow's folder of DAGs.",
)
def schedule(kind: str | None, action: str | None, *, at: str, name: str, output: Path, **options: str) -> None:
    """Print a working entry that starts `kedro run` of this project at set times, or put it in place."""
    if kind is None:
        raise click.UsageError("name one of --cron, --systemd, --airflow")
    project = find_project()
    scheduler = _scheduler(kind, project, options["env"], output)
    if action == "remove":
        _remove(scheduler, name)
        return
    _check_options(project, options["env"], options["pipelines"])
    given = {option: value for option, value in options.items() if value}
    entry = Entry(name=name, project=project, kedro=_kedro(), at=at, options=given)
    if action == "write":
        click.echo(scheduler.install(entry))
    else:
        # The words go to stderr, so that the output can be sent to a file as it is.
        click.echo(_HOW[kind], err=True)
        click.echo(scheduler.text(entry), nl=False)


def _scheduler(kind: str, project: Path, env: str, dags: Path) -> Scheduler:
    from gender_pipeline.scheduling import airflow, cron, systemd

    if kind == "airflow":
        return airflow.DagFolder(dags, lambda values: _fill(project, env, values))
    return cron if kind == "cron" else systemd


def _remove(scheduler: Scheduler, name: str) -> None:
    if not scheduler.remove(name):
        raise ScheduleError(f"there is no entry {name} of ours to remove", remedy="check --name")
    click.echo(f"removed {name}")


def _kedro() -> Path:
    kedro = Path(sys.executable).with_name("kedro")
    if not kedro.exists():
        raise ScheduleError("kedro is not in this environment", expected=str(kedro), remedy="run `make setup`")
    return kedro


def _check_options(project: Path, env: str, pipelines: str) -> None:
    """Find the mistakes that would make every scheduled run fail."""
    from gender_pipeline.pipeline_registry import register_pipelines

    if env and not (project / "conf" / env).is_dir():
        raise ScheduleError(f"there is no environment {env}", expected=f"a folder {project / 'conf' / env}")
    known = register_pipelines()
    unknown = [name for name in pipelines.split(",") if name and name not in known]
    if unknown:
        raise ScheduleError("there is no such pipeline", expected=examples(known, 20), received=examples(unknown))


def _fill(project: Path, env: str, values: dict[str, str]) -> str:
    """Let `kedro airflow create` fill our template with the values and with `airflow.yml` of `conf/`."""
    import contextlib
    import io
    import tempfile

    from kedro.framework.startup import bootstrap_project
    from kedro_airflow.plugin import create

    from gender_pipeline.scheduling.airflow import TEMPLATE

    with tempfile.TemporaryDirectory() as folder:
        context = click.Context(create, obj=bootstrap_project(project))
        with contextlib.redirect_stdout(io.StringIO()):
            context.invoke(
                create,
                pipeline_names=["__default__"],
                env=env or "local",
                target_path=folder,
                jinja_file=TEMPLATE,
                params=values,
            )
        (written,) = Path(folder).iterdir()
        return written.read_text("utf-8")
