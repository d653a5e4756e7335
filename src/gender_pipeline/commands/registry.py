"""Commands on registered models: list, promote, roll back, delete, and the log of moves."""

import click

from gender_pipeline.commands.project import connect

_NAME = click.option("--name", default="gender-classifier", show_default=True, help="Name in the model registry.")
_BY = click.option("--by", default="", help="Who moves it; else the name git knows, or the user's.")
_WHY = click.option("--why", default="by hand", show_default=True, metavar="TEXT", help="The reason, for the log.")


@click.command(epilog="Example: gender-pipeline models --name gender-classifier")
@_NAME
def models(name: str) -> None:
    """List the registered versions with aliases, metrics, gate, commit, data and date."""
    connect()
    from gender_pipeline.registration.mlflow_client import list_versions

    _print(list_versions(name))


@click.command(epilog='Example: gender-pipeline promote 3 --to production --why "a week in staging"')
@click.argument("version")
@click.option("--to", "alias", type=click.Choice(["staging", "production"]), required=True, help="The alias it takes.")
@_WHY
@_BY
@_NAME
def promote(version: str, alias: str, *, why: str, by: str, name: str) -> None:
    """Let VERSION (a number, or an alias such as @staging) take an alias.

    It must have passed its gate and be reproducible; production is for the holder of staging or previous. The former
    production version becomes `previous`.
    """
    connect()
    from gender_pipeline.registration import mlflow_moves
    from gender_pipeline.registration.mlflow_client import find_version
    from gender_pipeline.registration.mover import mover

    number = find_version(name, version)
    moved = mlflow_moves.promote(name, number, alias, by=by or mover(), why=why)
    click.echo(f"{name} version {number} {'now holds' if moved else 'already held'} {alias}")


@click.command(epilog='Example: gender-pipeline rollback --why "errors on photos of children"')
@_WHY
@_BY
@_NAME
def rollback(why: str, by: str, name: str) -> None:
    """Give production back to the version that held it before, which `previous` names."""
    connect()
    from gender_pipeline.registration import mlflow_moves
    from gender_pipeline.registration.mover import mover

    former, number = mlflow_moves.rollback(name, by=by or mover(), why=why)
    click.echo(f"{name} version {number} now holds production, taken from version {former or 'none'}")


@click.command(epilog="Example: gender-pipeline moves")
@_NAME
def moves(name: str) -> None:
    """List every move of an alias: when, what, from what, who and why; the oldest first."""
    connect()
    from gender_pipeline.registration.mlflow_moves import list_moves

    _print(list_moves(name))


@click.command("delete-version", epilog="Example: gender-pipeline delete-version 2")
@click.argument("version")
@_NAME
def delete_version(version: str, name: str) -> None:
    """Delete VERSION from the registry; refused while it holds an alias."""
    connect()
    from gender_pipeline.registration import mlflow_client

    number = mlflow_client.find_version(name, version)
    mlflow_client.delete_version(name, number)
    click.echo(f"{name} version {number} deleted; its run and files stay in MLflow")


def _print(rows: list[dict[str, str]]) -> None:
    import pandas as pd

    click.echo(pd.DataFrame(rows).to_string(index=False))
