"""Commands on weights of backbones: convert published ones, look at what they see."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from gender_pipeline.errors import ImageError


@click.command(
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


def print_imagenet(photos: Sequence[Path], backbone: str) -> None:
    """Print the 5 most probable ImageNet classes of photos, a row each: a check of a backbone's weights."""
    from gender_pipeline.zoo import SPECS

    if backbone not in SPECS:
        raise click.BadParameter(f"{backbone!r} is not one of {', '.join(SPECS)}", param_hint="--backbone")
    if folders := [str(path) for path in photos if not path.is_file()]:
        raise click.BadParameter(f"--imagenet takes photos, not {', '.join(folders)}", param_hint="PATH")
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
