"""The model card: what the model is, what it was measured on, and what it must not be used for."""

from collections.abc import Mapping

from gender_pipeline.registration.gate import Verdict

_CARD = """# {recipe}

A classifier of **annotated apparent gender** in face photos: it answers with the label an annotator of its data sets
would likely have given. It says nothing of a person's identity, and must not be used to decide about people.

- Data: {data_note}
{facts}

## Measured on the test photos

| metric | value | 95 % interval (over subjects) |
|---|---|---|
{metrics}

## Gate

{comparison}

| check | expected | received | passed |
|---|---|---|---|
{checks}
"""

_COMPARED = (
    "Compared with production version {} on the same test photos: the bounds of the difference in accuracy come from "
    "drawing subjects with replacement; McNemar's p-value takes photos for independent."
)
_ALONE = "There was no production model to compare with."


def write_model_card(facts: Mapping[str, str], metrics: Mapping[str, float], verdict: Verdict, data_note: str) -> str:
    """Return the card as Markdown.

    Args:
        facts: What the model is, name -> value; `recipe` is the title.
        metrics: Metrics by name; those of the test split over all sources are shown.
        verdict: The gate's verdict.
        data_note: One sentence on the data.
    """
    return _CARD.format(
        recipe=facts["recipe"],
        data_note=data_note,
        facts="\n".join(f"- {name}: {value}" for name, value in facts.items()),
        metrics="\n".join(_metric_rows(metrics)),
        comparison=_COMPARED.format(verdict["champion"]) if verdict["champion"] else _ALONE,
        checks="\n".join(
            f"| {check['name']} | {check['expected']} | {check['received']} | {'yes' if check['passed'] else 'no'} |"
            for check in verdict["checks"]
        ),
    )


def _metric_rows(metrics: Mapping[str, float]) -> list[str]:
    rows = []
    for name, value in metrics.items():
        split, _, metric = name.partition(".")
        if split == "test" and "." not in metric and not metric.endswith(("_low", "_high")):
            low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
            interval = "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
            rows.append(f"| {metric} | {value:.4f} | {interval} |")
    return rows
