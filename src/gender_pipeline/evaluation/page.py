"""The pages of experiments: what was done, the table and the picture, in one file that needs nothing from outside."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import pandas as pd

from gender_pipeline.evaluation.comparison import LATENCY_NOISE
from gender_pipeline.evaluation.slices import interval_text


def write_page(title: str, notes: Sequence[str], table: pd.DataFrame, pictures: Mapping[str, bytes]) -> str:
    """Write a page.

    Args:
        title: Heading of the page.
        notes: Paragraphs above the table: how it was measured, what to keep in mind.
        table: Texts; its first column heads the rows, and a line break in a text is one on the page.
        pictures: PNG bytes by file name.

    Returns:
        HTML that runs no script and asks for nothing; names from archives are escaped.
    """
    from jinja2 import Environment, StrictUndefined

    source = resources.files("gender_pipeline.evaluation").joinpath("page.html.j2").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    return template.render(
        title=title,
        notes=notes,
        columns=list(table.columns),
        rows=table.to_numpy(dtype=object).tolist(),
        pictures=[(name, b64encode(data).decode()) for name, data in pictures.items()],
    )


def write_comparison_page(table: pd.DataFrame, pictures: Mapping[str, bytes], data_note: str) -> str:
    """Write the page of what `compare_recipes` and `draw_comparison` gave."""
    device = table["params.device"].dropna().iloc[0]
    notes = (
        data_note,
        f"All recipes were trained and tested on the same photos, and timed on: {device}. Latency is that of a single "
        "photo; photos a second are those of batches of 1 and of 32. Both are medians over several calls of the whole "
        "network, from pixels in memory to probabilities, without reading and decoding the photo. MB are 10^6 bytes of "
        "weights. Seconds of training include features that were not in the cache yet.",
        "A recipe is on the Pareto front if no other is at least as accurate, fast and small, and better in one of "
        f"these; {LATENCY_NOISE:.0%} more or less latency count as the same. Where the intervals of two accuracies "
        "overlap widely, the test photos do not tell the recipes apart.",
    )
    shown = pd.DataFrame([_comparison_texts(row) for row in table.to_dict("records")])
    return write_page("Comparison of recipes", notes, shown, pictures)


def write_cross_source_page(cells: pd.DataFrame, pictures: Mapping[str, bytes], facts: Mapping[str, str]) -> str:
    """Write the page of what `cross_source_cells` and `draw_cross_source` gave; facts are `recipe` and `data`."""
    notes = (
        facts["data"],
        f"Recipe {facts['recipe']}. A row is a model that was trained on the train photos of one data set, or of all, "
        "and stopped by the validation photos of the same; a column holds the test photos of one data set. Below each "
        "accuracy: its interval over subjects. No subject of a test photo was trained on, in any row.",
        "The models of the rows had different numbers of photos to learn from, and data sets differ in how they label: "
        "a low number beside a high one says that the data sets differ, not in what.",
    )
    rows = [
        {
            "trained on": source,
            **{f"tested on {cell['tested_on']}": _cell_text(cell) for cell in row.to_dict("records")},
        }
        for source, row in cells.groupby("trained_on", sort=False)
    ]
    return write_page("Trained on one data set, tested on each", notes, pd.DataFrame(rows), pictures)


def _comparison_texts(row: Mapping[Any, Any]) -> dict[str, str]:
    missing = pd.isna(row["accuracy"])
    numbers = {
        "latency, ms": "latency_ms",
        "photos/s, 1": "photos_per_second_1",
        "photos/s, 32": "photos_per_second_32",
        "parameters, million": "parameters_million",
        "weights, MB": "weights_mb",
        "training, s": "train_seconds",
    }
    return {
        "recipe": row["name"],
        "network": f"{row['params.backbone']}\n{row['params.image_size_px']} px, trained: {row['params.trainable']}",
        "test accuracy": f"no result: {row['problem']}" if missing else _interval(row),
        "Pareto front": "yes" if row["pareto"] else "",
        **{title: "" if missing else f"{row[name]:,.1f}" for title, name in numbers.items()},
    }


def _cell_text(cell: Mapping[Any, Any]) -> str:
    text = f"no result: {cell['problem']}" if pd.isna(cell["accuracy"]) else _interval(cell)
    return f"{text}\n{cell['train_photos']:,} trained on, {cell['test_photos']:,} tested"


def _interval(row: Mapping[Any, Any]) -> str:
    low, high = (None if pd.isna(row[name]) else row[name] for name in ("accuracy_low", "accuracy_high"))
    return interval_text({"value": row["accuracy"], "low": low, "high": high}).replace(" ", "\n", 1)
