"""Commands on registered models."""

import click

from gender_pipeline.commands.project import connect


@click.command(epilog="Example: gender-pipeline models --name gender-classifier")
@click.option("--name", default="gender-classifier", show_default=True, help="Name in the model registry.")
def models(name: str) -> None:
    """List the registered versions with aliases, test accuracy, gate and commit."""
    connect()
    import pandas as pd

    from gender_pipeline.registration.mlflow_client import list_versions

    click.echo(pd.DataFrame(list_versions(name)).to_string(index=False))
