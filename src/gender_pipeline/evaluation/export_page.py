"""The page of an export: what each file costs and gives, as a picture and a table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from gender_pipeline.evaluation.figures import COLOURS, FAINT, INK, png_bytes
from gender_pipeline.evaluation.page import write_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS = (("MB", "size_bytes", 1e-6), ("ms, one photo", "latency_1_ms", 1.0), ("ms, 32 photos", "latency_32_ms", 1.0))


def write_export_page(comparison: Mapping[str, Any], data_note: str) -> str:
    """Write the page.

    Args:
        comparison: `name` and `version` of the model, `device`, and `formats`: what `compare_exports` gave.
        data_note: One sentence on the data.
    """
    formats = comparison["formats"]
    n_photos = next(iter(formats.values()))["photos"]
    notes = (
        data_note,
        f"Each file was run by its own runtime on {n_photos:,} test photos, beside Keras, and timed on: "
        f"{comparison['device']}. Latencies are medians from pixels in memory to probabilities, without reading and "
        "decoding; of two ways to call Keras the faster one counts. Compare them within this table only: a phone has "
        "another processor.",
        "`keras` is the model as it is in production; labels and probabilities are compared with the same weights "
        "computed in float32. Its MB are those of its weights.",
    )
    table = pd.DataFrame([_texts(name, row, formats["keras"]) for name, row in formats.items()])
    title = f"Exports of {comparison['name']} version {comparison['version']}"
    return write_page(title, notes, table, {"size and latency of each format": _picture(formats)})


def _texts(name: str, row: Mapping[str, Any], keras: Mapping[str, Any]) -> dict[str, str]:
    return {
        "format": f"{name}\n{row['file']}".strip(),
        "equal labels": f"{row['equal_labels']:.2%}",
        "largest difference": f"{row['probability_difference']:.1e}",
        "accuracy": f"{row['accuracy']:.2%}",
        "MB": f"{row['size_bytes'] / 1e6:,.1f}",
        "ms, one photo": f"{row['latency_1_ms']:,.1f}",
        "times Keras' speed": f"{keras['latency_1_ms'] / row['latency_1_ms']:.1f}",
        "ms, 32 photos": f"{row['latency_32_ms']:,.1f}",
        "times Keras' speed, 32": f"{keras['latency_32_ms'] / row['latency_32_ms']:.1f}",
    }


def _picture(formats: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Draw a bar a format in one panel a cost; PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.2 + 0.38 * len(formats)), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(_PANELS), sharey=True)
    for axes, (title, column, scale) in zip(panels, _PANELS, strict=True):
        _draw_bars(axes, title, [row[column] * scale for row in formats.values()])
    panels[0].set_yticks(range(len(formats)), formats)
    panels[0].invert_yaxis()
    return png_bytes(figure)


def _draw_bars(axes: "Axes", title: str, values: list[float]) -> None:
    bars = axes.barh(range(len(values)), values, color=[FAINT, *[COLOURS[0]] * (len(values) - 1)])
    axes.bar_label(bars, fmt="{:,.1f}", padding=3, color=INK, size=9)
    axes.set_title(f"{title} (less is better)", loc="left", color=INK, size=10)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])
    axes.margins(x=0.2)
    axes.tick_params(colors=INK)
