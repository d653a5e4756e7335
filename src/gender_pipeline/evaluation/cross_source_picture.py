"""The picture of a cross-data-set evaluation: a heat map that carries its numbers."""

from typing import TYPE_CHECKING

import pandas as pd

from gender_pipeline.evaluation.figures import COLOURS, FAINT, INK, new_figure, png_bytes, short_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWEST, HIGHEST = 0.5, 1.0  # what the shades span: a coin's accuracy to the best


def draw_cross_source(cells: pd.DataFrame) -> dict[str, bytes]:
    """Draw what `cross_source_cells` gave.

    Returns:
        PNG bytes by file name; the same cells give the same bytes under the same matplotlib.
    """
    return {"cross_source.png": png_bytes(cross_source_figure(cells))}


def cross_source_figure(cells: pd.DataFrame) -> "Figure":
    """Draw accuracy by the data set trained on (rows) and tested on (columns); same-source cells are framed."""
    rows, columns = list(cells["trained_on"].unique()), list(cells["tested_on"].unique())
    size = (2.6 + 1.5 * len(columns), 2.2 + 0.95 * len(rows))
    subtitle = "accuracy, and its interval over subjects; framed: the data set it was trained on"
    figure, axes = new_figure("Trained on one data set, tested on each", subtitle, size=size)
    accuracy = cells.pivot(index="trained_on", columns="tested_on", values="accuracy").loc[rows, columns]
    axes.imshow(accuracy.to_numpy(dtype=float), cmap="Blues", vmin=LOWEST, vmax=HIGHEST, aspect="auto")
    axes.grid(visible=False)
    for cell in cells.to_dict("records"):
        place = (columns.index(cell["tested_on"]), rows.index(cell["trained_on"]))
        _write(axes, place, (cell["accuracy"], cell["accuracy_low"], cell["accuracy_high"]))
        if cell["trained_on"] == cell["tested_on"]:
            _frame(axes, place)
    axes.set_yticks(range(len(rows)), _names(cells, "trained_on", "train_photos", rows))
    axes.set_xticks(range(len(columns)), _names(cells, "tested_on", "test_photos", columns))
    axes.set(xlabel="Tested on", ylabel="Trained on")
    return figure


def _names(cells: pd.DataFrame, column: str, photos: str, order: list[str]) -> list[str]:
    counts = cells.groupby(column)[photos].max()
    return [f"{short_label(name)}\n{counts[name]:,} photos" for name in order]


def _write(axes: "Axes", place: tuple[int, int], interval: tuple[float, float, float]) -> None:
    value, low, high = interval
    if pd.isna(value):
        axes.text(*place, "no result", ha="center", va="center", color=FAINT, size=9)
        return
    # White on the dark half of the blues, dark on the light one.
    colour = "white" if value > LOWEST + 0.6 * (HIGHEST - LOWEST) else INK
    axes.text(*place, f"{value:.3f}", ha="center", va="bottom", color=colour, size=13)
    if not pd.isna(low):  # the photos of a single subject have no interval
        axes.text(*place, f"{low:.3f}\N{EN DASH}{high:.3f}", ha="center", va="top", color=colour, size=9)


def _frame(axes: "Axes", place: tuple[int, int]) -> None:
    from matplotlib.patches import Rectangle

    corner = (place[0] - 0.48, place[1] - 0.47)
    axes.add_patch(Rectangle(corner, 0.96, 0.94, fill=False, edgecolor=COLOURS[1], linewidth=2.5))
