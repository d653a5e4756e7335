"""The picture of a comparison: accuracy against latency against size, with the Pareto front."""

from collections.abc import Hashable
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gender_pipeline.evaluation.figures import COLOURS, FAINT, INK, new_figure, png_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox, BboxBase

SMALLEST_AREA, LARGEST_AREA = 40.0, 900.0  # of a marker, in square points
# Where a label may stand: points from its marker's edge, and a direction; the first place that is free is taken.
_DISTANCES: Final = (5, 20, 40, 65, 95)
_DIRECTIONS: Final = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


def draw_comparison(table: pd.DataFrame) -> dict[str, bytes]:
    """Draw what `compare_recipes` gave.

    Returns:
        PNG bytes by file name; the same table gives the same bytes under the same matplotlib.
    """
    return {"accuracy_latency_size.png": png_bytes(comparison_figure(table))}


def comparison_figure(table: pd.DataFrame) -> "Figure":
    """Draw the recipes that were measured: latency to the right, accuracy up, size as the marker's area."""
    measured = table[table["accuracy"].notna()].sort_values("weights_mb", ascending=False)
    scaled = measured["weights_mb"] / measured["weights_mb"].max() * LARGEST_AREA
    measured = measured.assign(area=scaled.clip(lower=SMALLEST_AREA))
    figure, axes = new_figure("Accuracy against latency and size", _subtitle(table, measured), size=(9.0, 6.4))
    _prepare_axes(axes)
    _draw_front(axes, measured)
    points = measured.to_dict("records")
    for point in points:
        _draw_marker(axes, point)
    axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none", fontsize=9)
    _draw_labels(figure, axes, points)
    return figure


def _subtitle(table: pd.DataFrame, measured: pd.DataFrame) -> str:
    first, n_missing = measured.iloc[0], len(table) - len(measured)
    without = f"; {n_missing} without a result, see the table" if n_missing else ""
    return f"{first['params.device']}\n{first['test_photos']:,.0f} test photos, {len(measured)} recipes{without}"


def _prepare_axes(axes: "Axes") -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 2.5, 3, 4, 5, 7)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.set(xlabel="Latency of one photo, ms (logarithmic)", ylabel="Test accuracy, with its interval over subjects")
    axes.margins(x=0.25, y=0.12)  # room for the labels beside the outermost points


def _draw_front(axes: "Axes", measured: pd.DataFrame) -> None:
    """Draw the best accuracy to be had within a latency, as steps, and what the markers mean into the legend."""
    front = measured[measured["pareto"].astype(bool)].sort_values(["latency_ms", "accuracy"])
    latency, accuracy = [*front["latency_ms"], measured["latency_ms"].max()], front["accuracy"].cummax()
    best = COLOURS[0]
    axes.plot([], [], "o", color=best, markersize=9, label="Pareto front of accuracy, latency and size")
    axes.plot([], [], "o", color=FAINT, markerfacecolor="white", markersize=9, label="another is no worse in all three")
    steps = [*accuracy, accuracy.iloc[-1]]  # the best one stays the best for whoever can wait longer
    axes.step(latency, steps, "--", where="post", color=best, linewidth=1.2, alpha=0.7)
    axes.plot([], [], "--", color=best, linewidth=1.2, alpha=0.7, label="best accuracy within a latency")


def _draw_marker(axes: "Axes", point: dict[Hashable, Any]) -> None:
    place, colour = (point["latency_ms"], point["accuracy"]), COLOURS[0] if point["pareto"] else FAINT
    axes.plot([place[0]] * 2, [point["accuracy_low"], point["accuracy_high"]], color=colour, linewidth=1.5, alpha=0.4)
    face = colour if point["pareto"] else "white"
    axes.scatter(*place, s=point["area"], facecolor=face, edgecolor=colour, linewidth=1.5, alpha=0.8, zorder=3)


def _draw_labels(figure: "Figure", axes: "Axes", points: list[dict[Hashable, Any]]) -> None:
    """Write name and size beside each marker, where neither a marker nor another label nor the legend stands."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    figure.draw_without_rendering()  # before the axes are laid out, a point has no place on the picture
    pixels = figure.dpi / 72
    markers = [_marker_box(axes, point, pixels) for point in points]
    taken = [axes.get_legend().get_window_extent(renderer), *markers]  # type: ignore[union-attr]
    for point, marker in zip(points, markers, strict=True):
        label = _new_label(axes, point)
        text = Text.get_window_extent(label, renderer)  # an annotation's own box would hold its line, too
        box = _free_place(marker, text.padded(2 * pixels), taken, axes.bbox)
        label.set_position(tuple((_centre(box) - _centre(marker)) / pixels))
        taken.append(box)


def _marker_box(axes: "Axes", point: dict[Hashable, Any], pixels: float) -> "Bbox":
    from matplotlib.transforms import Bbox

    centre = axes.transData.transform((point["latency_ms"], point["accuracy"]))
    radius = point["area"] ** 0.5 / 2 * pixels
    return Bbox([centre - radius, centre + radius])


def _new_label(axes: "Axes", point: dict[Hashable, Any]) -> "Annotation":
    """Write a label over its marker, from where it is to be moved; a line will lead back to the marker's edge."""
    text = f"{point['name']}, {point['weights_mb']:,.0f} MB".replace("$", r"\$")
    back = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}
    line = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.7, "shrinkA": 0, "shrinkB": point["area"] ** 0.5 / 2}
    label = axes.annotate(
        text, (point["latency_ms"], point["accuracy"]), (0, 0), textcoords="offset points", ha="center", va="center",
        size=8.5, color=INK, zorder=4, arrowprops=line, bbox=back,
    )  # fmt: skip
    label.set_in_layout(False)  # or the axes would make room for it, and all places would be others
    return label


def _free_place(marker: "Bbox", text: "Bbox", taken: "list[Bbox]", inside: "BboxBase") -> "Bbox":
    """Return the first place for a text near its marker that nothing has taken; the last of all where there is none."""
    from matplotlib.transforms import Bbox

    reach = np.array([marker.width + text.width, marker.height + text.height]) / 2
    for distance, direction in product(_DISTANCES, _DIRECTIONS):
        centre = _centre(marker) + np.array(direction) * (reach + distance)
        half = np.array([text.width, text.height]) / 2
        box = Bbox([centre - half, centre + half])
        within = all(inside.contains(*corner) for corner in box.corners())
        if within and not any(box.overlaps(other) for other in taken):
            break
    return box


def _centre(box: "Bbox") -> NDArray[np.float64]:
    return np.asarray((box.p0 + box.p1) / 2)
