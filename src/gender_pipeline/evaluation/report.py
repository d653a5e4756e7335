"""The evaluation report: one self-contained HTML page, without photos."""

from base64 import b64encode
from collections.abc import Mapping
from importlib import resources
from typing import Final

import pandas as pd

from gender_pipeline.evaluation.slices import OVERALL, Metrics, interval_text
from gender_pipeline.schema import TEST

# What a picture tells, for those who read it and for those who cannot see it.
CAPTIONS: Final = {
    "confusion_matrix.png": "Photos of each label (row) by the class they were given (column); shares are of the row.",
    "roc_curve.png": "Share of the positives found, against the share of the negatives taken for positives.",
    "precision_recall_curve.png": "Share of the positive answers that are right, against the share of positives found.",
    "calibration.png": "How often answers of a given probability are right; below the dotted line they claim too much.",
    "accuracy_by_source.png": "Accuracy on each data set with its interval over subjects.",
    "history.png": "Loss and accuracy on the training and validation photos after each epoch.",
}


def write_report(
    metrics: Metrics,
    pictures: Mapping[str, bytes],
    *,
    audit: pd.DataFrame,
    quarantine: pd.DataFrame,
    facts: Mapping[str, str],
) -> str:
    """Write the report.

    Args:
        metrics: What `measure` gave.
        pictures: PNG bytes by file name; they are put into the page.
        audit: Split audit: `source, label, split, photos, subjects, share, reason`.
        quarantine: One row a photo that was set aside, with its `source` and `reason`.
        facts: What the model is and what it was trained on, name -> value. `recipe` becomes part of the title, and
            `data` (for example that the photos are drawn) stands at the top as well.

    Returns:
        An HTML page that needs nothing from outside and runs no script. Names from archives are escaped.
    """
    from jinja2 import Environment, StrictUndefined

    source = resources.files("gender_pipeline.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    set_aside = quarantine.groupby(["source", "reason"]).size().reset_index(name="photos")
    return template.render(
        shown=TEST if TEST in metrics else list(metrics)[-1],
        metrics=metrics,
        names=list(next(iter(metrics.values()))[OVERALL]["metrics"]),
        text=interval_text,
        pictures=[(CAPTIONS.get(name, name), b64encode(data).decode()) for name, data in pictures.items()],
        audit=audit.to_dict("records"),
        set_aside=set_aside.to_dict("records"),
        facts=facts,
    )
