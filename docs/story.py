"""Draws docs/story.png from the last `make run`: drawn faces, the chapters, and what the model is worth.

python docs/story.py
"""

from io import BytesIO
from pathlib import Path

import matplotlib.image as mpimg
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from gender_pipeline.images.shards import ShardStore

PROJECT = Path(__file__).parents[1]
CHAPTERS = ("archives", "manifest\n+ shards", "validation", "splitting", "training", "evaluation", "registration")


def main() -> None:
    """Draw the picture."""
    figure = Figure(figsize=(14, 5.9), facecolor="white")
    rows = figure.subfigures(3, 1, height_ratios=(1.45, 0.75, 3.0))
    _draw_faces(rows[0])
    _draw_chapters(rows[1])
    _draw_results(rows[2])
    figure.savefig(PROJECT / "docs" / "story.png", dpi=80, metadata={"Software": None})


def _draw_faces(part: Figure) -> None:
    split = pd.read_parquet(PROJECT / "data" / "splitting" / "split_manifest.parquet")
    celeba = split[(split["source"] == "celeba") & (split["publishable"])].drop_duplicates("subject_id")[:40]
    photos = dict(ShardStore(PROJECT / "data" / "images").images(list(celeba["image_id"])))
    for axes, image_id in zip(part.subplots(2, 20).flat, celeba["image_id"], strict=True):
        axes.imshow(Image.open(BytesIO(photos[image_id])))
        axes.axis("off")
    part.subplots_adjust(0.005, 0.01, 0.995, 0.99, 0.02, 0.02)


def _draw_chapters(part: Figure) -> None:
    axes = part.subplots()
    axes.set(xlim=(0, len(CHAPTERS)), ylim=(0, 1))
    axes.axis("off")
    box = {"boxstyle": "round,pad=0.5", "facecolor": "#e8f1f8", "edgecolor": "#0072b2"}
    for number, chapter in enumerate(CHAPTERS):
        axes.text(number + 0.5, 0.5, chapter, ha="center", va="center", fontsize=13, bbox=box)
        if number:
            arrow = {"arrowstyle": "->", "color": "#5f6b76", "lw": 1.5}
            axes.annotate("", (number + 0.1, 0.5), (number - 0.1, 0.5), arrowprops=arrow)
    part.subplots_adjust(0.0, 0.0, 1.0, 1.0)


def _draw_results(part: Figure) -> None:
    names = ("confusion_matrix", "roc_curve", "calibration", "history")
    for axes, name in zip(part.subplots(1, len(names)), names, strict=True):
        axes.imshow(mpimg.imread(PROJECT / "data" / "evaluation" / "pictures" / f"{name}.png"))
        axes.axis("off")
    part.subplots_adjust(0.01, 0.0, 0.99, 1.0, 0.03)


if __name__ == "__main__":
    main()
