"""The other door, `gender-pipeline`: everything that is no pipeline. Kedro and MLflow are imported when needed."""

from pathlib import Path
from typing import Literal

import click

from gender_pipeline import __version__
from gender_pipeline.errors import GenderPipelineError, ImageError, RegistrationError


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
    """Commands around the pipeline: draw sample archives, list registered models, accept label corrections."""


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


@main.command(epilog="Example: gender-pipeline predict --imagenet photo.jpg other.png --backbone efficientnet_lite2")
@click.argument("photos", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--imagenet", is_flag=True, help="Name the 5 most probable ImageNet classes: a check of the weights.")
@click.option("--backbone", default="efficientnet_lite0", show_default=True, help="Which backbone sees the photos.")
def predict(photos: tuple[Path, ...], imagenet: bool, backbone: str) -> None:
    """Print what is seen in PHOTOS (JPEG, PNG, BMP or WebP), a row each."""
    from gender_pipeline.zoo import SPECS

    if not imagenet:
        raise click.UsageError("say what is to be predicted: --imagenet")
    if backbone not in SPECS:
        raise click.BadParameter(f"{backbone!r} is not one of {', '.join(SPECS)}", param_hint="--backbone")
    import pandas as pd

    from gender_pipeline.zoo.imagenet import classify_imagenet

    answers = classify_imagenet(backbone, [_read_photo(path) for path in photos])
    rows = [[path, *(f"{name} {p:.1%}" for name, p in best)] for path, best in zip(photos, answers, strict=True)]
    click.echo(pd.DataFrame(rows, columns=["photo", "1st", "2nd", "3rd", "4th", "5th"]).to_string(index=False))


def _read_photo(path: Path) -> bytes:
    """Read a photo, and check it before any network is built."""
    from gender_pipeline.images.decode import load_image

    data = path.read_bytes()
    try:
        load_image(data)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    return data


@main.command(epilog="Example: gender-pipeline accept-corrections --reviewer ada accepted.csv")
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


@main.command(
    "convert-weights",
    epilog="Example: gender-pipeline convert-weights vgg-face vgg_face_torch.tar.gz vgg_face.safetensors",
)
@click.argument("backbone", type=click.Choice(["vgg-face"]))
@click.argument("source", metavar="SRC", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("destination", metavar="DST", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--color-order",
    type=click.Choice(["BGR", "RGB"]),
    default="BGR",
    show_default=True,
    help="Order in which SRC expects the channels; vgg_face_dag.pth has RGB.",
)
def convert_weights(backbone: str, source: Path, destination: Path, color_order: Literal["BGR", "RGB"]) -> None:
    """Convert published weights to a file a recipe can name.

    SRC is VGG_FACE.t7, the archive vgg_face_torch.tar.gz around it, or a PyTorch state dictionary (.pt, .pth) of the
    same network; DST is a .safetensors file.
    """
    if destination.suffix != ".safetensors":
        raise click.BadParameter(f"{destination} does not end in .safetensors", param_hint="DST")
    from gender_pipeline.zoo.vgg_face import LICENCE, convert_vgg_face

    convert_vgg_face(source, destination, color_order)
    click.echo(f"read {source}, its first kernel as one for {color_order} pixels")
    click.echo(LICENCE)
    name = backbone.replace("-", "_")
    click.echo(f"wrote {destination}; in a recipe: `backbone: {name}` and `weights: {destination}`")


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
