"""The command that runs a past run again and compares."""

from pathlib import Path

import click

from gender_pipeline.commands.project import connect


@click.command(epilog="Example: gender-pipeline reproduce gender-classifier/3")
@click.argument("target")
@click.option("--name", default="gender-classifier", show_default=True, help="Model that a bare number or alias means.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="How far a metric may be off on another kind of processor; on the same kind all must be equal.",
)
@click.option(
    "--environments",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("~/.cache/gender_pipeline/environments"),
    show_default=True,
    help="Where environments of other lock files are kept.",
)
def reproduce(target: str, name: str, tolerance: float, environments: Path) -> None:
    """Run TARGET again from its commit, data, packages and parameters, and compare digests and metrics.

    TARGET is a version (gender-classifier/3, 3, @production), the id of an MLflow run, or a git commit. Ends with 0
    where all is equal and with 1 where something differs.
    """
    project = connect()
    from gender_pipeline.reproduction.git import resolve
    from gender_pipeline.reproduction.mlflow_runs import find_run_id, read_run
    from gender_pipeline.reproduction.reproduce import reproduce as run_again
    from gender_pipeline.reproduction.reproduce import times

    recorded = read_run(find_run_id(target, name, resolve(project, target)))
    click.echo(f"run          {recorded.run_id}: {recorded.tags.get('mlflow.runName', '')}")
    environments = environments.expanduser()
    done = run_again(project, recorded, environments=environments, tolerance=tolerance, say=click.echo)
    click.echo(done.table.to_string(index=False))
    for line in [*done.since, f"time         {times(done)}"]:
        click.echo(line)
    click.echo("PASS" if done.passed else f"FAIL; the worktree is kept in {done.folder}")
    if not done.passed:
        raise SystemExit(1)
