"""The evaluation report: one self-contained HTML page, without photos."""

from base64 import b64encode
from collections.abc import Mapping

import pandas as pd

from gender_pipeline.evaluation.slices import OVERALL, Metrics, interval_text


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
        facts: What the model is and what it was trained on, name -> value.

    Returns:
        An HTML page that needs nothing from outside. Names from archives are escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined)
    set_aside = quarantine.groupby(["source", "reason"]).size().reset_index(name="photos")
    return templates.get_template("report.html.j2").render(
        metrics=metrics,
        names=list(next(iter(metrics.values()))[OVERALL]["metrics"]),
        text=interval_text,
        pictures={_title(name): b64encode(data).decode() for name, data in pictures.items()},
        audit=audit.to_dict("records"),
        set_aside=set_aside.to_dict("records"),
        facts=facts,
    )


def _title(file_name: str) -> str:
    return file_name.removesuffix(".png").replace("_", " ").capitalize()
