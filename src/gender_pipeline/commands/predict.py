"""The command that answers photos."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from gender_pipeline.commands.model import MODEL_OPTION, Registered, model_path

if TYPE_CHECKING:
    from gender_pipeline.export.tables import Row, Tally, Write

MEANING: Final = "A label is the annotation of apparent gender a data set would give, not a person's identity."


@click.command(
    epilog="""\b
Examples:
  gender-pipeline predict holiday.jpg
  gender-pipeline predict photos/ archive.zip --output csv --to answers.csv
  gender-pipeline predict faces/ --crop none --model data/export/int8.tflite
  gender-pipeline predict --imagenet photo.jpg --backbone efficientnet_lite2
"""
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@MODEL_OPTION
@click.option("--output", type=click.Choice(["table", "json", "csv", "parquet"]), default="table", show_default=True)
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="Where to; else the standard output.")
@click.option(
    "--crop",
    type=click.Choice(["face", "none"]),
    help="Find faces, or take photos as they are.  [default: as the model was trained]",
)
@click.option("--top", type=click.IntRange(min=1), default=2, show_default=True, help="Classes named in the table.")
@click.option("--imagenet", is_flag=True, help="Name the 5 most probable ImageNet classes instead: a check of weights.")
@click.option("--backbone", default="efficientnet_lite0", show_default=True, help="Which backbone --imagenet asks.")
def predict(
    paths: tuple[Path, ...],
    *,
    model: Path | Registered,
    output: str,
    to: Path | None,
    crop: Literal["face", "none"] | None,
    top: int,
    imagenet: bool,
    backbone: str,
) -> None:
    """Answer the photos in PATH: files, folders and archives (zip, tar, tar.gz).

    A row a face: where it is, the label and its probability. Photos without a face, and files that are no images, are
    rows with a problem. Ends with 1 if no photo was answered.
    """
    if imagenet:
        from gender_pipeline.commands.weights import print_imagenet

        print_imagenet(paths, backbone)
        return
    if output == "parquet" and to is None:
        raise click.UsageError("--output parquet needs --to FILE")
    from gender_pipeline.export.predictor import load_predictor
    from gender_pipeline.export.tables import score

    folder, called = model_path(model)
    predictor = load_predictor(folder)
    start = time.perf_counter()
    with _writer(output, to, predictor.class_names, top) as write:
        tally = score(predictor, paths, write, crop=crop)
    seconds = time.perf_counter() - start
    click.echo(_summary(tally, seconds, called, to), err=True)
    if not tally.faces:
        sys.exit(1)


@contextmanager
def _writer(output: str, to: Path | None, class_names: tuple[str, ...], top: int) -> "Iterator[Write]":
    from gender_pipeline.export.tables import rows_writer, text_writer

    if output == "table":
        with click.open_file(str(to or "-"), "w", encoding="utf-8", atomic=to is not None) as file:
            yield lambda rows: file.writelines(_line(row, class_names, top) for row in rows)
    elif to is None:
        yield text_writer(output, sys.stdout, class_names)
    else:
        with rows_writer(output, to, class_names) as write:
            yield write


def _line(row: "Row", class_names: tuple[str, ...], top: int) -> str:
    if row["problem"] is not None:
        return f"{row['photo']}  {row['problem']}\n"
    box = "" if row["x"] is None else f"  face {row['face']} at {row['x']},{row['y']} {row['width']}x{row['height']}"
    best = sorted(class_names, key=lambda name: -row[f"p_{name}"])[:top]
    shares = ", ".join(f"{name} {row[f'p_{name}']:.1%}" for name in best)
    return f"{row['photo']}{box}  {shares}\n"


def _summary(tally: "Tally", seconds: float, called: str, to: Path | None) -> str:
    answers = ", ".join(f"{number:,} {label}" for label, number in tally.labels.most_common()) or "none"
    counts = f"{tally.photos:,} photos, {tally.photos / seconds:,.1f} a second: {tally.faces:,} answers ({answers})"
    problems = f"{tally.without_face:,} without a face, {tally.unreadable:,} not readable"
    return f"{counts}, {problems}; by {called}{f'; in {to}' if to else ''}\n{MEANING}"
