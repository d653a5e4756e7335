"""Commands on data: draw the sample, accept corrections of labels."""

from pathlib import Path

import click


@click.command(epilog="Example: gender-pipeline sample --subjects 320 --seed 0 data/raw/sample")
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


@click.command(epilog="Example: gender-pipeline accept-corrections --reviewer ada accepted.csv")
@click.argument("suspected", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--table",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("conf/base/label_corrections.csv"),
    show_default=True,
    help="The table of label corrections to add to.",
)
@click.option("--reviewer", default="", help="Who decided; kept in the table.")
def accept_corrections(suspected: Path, table: Path, reviewer: str) -> None:
    """Add the rows of SUSPECTED whose column `accept` says yes, x or out to the table of label corrections."""
    from gender_pipeline.sources.corrections import accept_corrections as accept

    click.echo(f"{accept(suspected, table, reviewer)} label corrections added to {table}")
