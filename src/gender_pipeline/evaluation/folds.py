"""A data set's official folds, each tested once by a model trained on the others: the protocol of Adience."""

from collections.abc import Callable
from typing import Any, Final

import pandas as pd
from tqdm import tqdm

from gender_pipeline.errors import EvaluationError
from gender_pipeline.evaluation.metrics import METRICS
from gender_pipeline.evaluation.slices import OVERALL, Slice, flat_metrics
from gender_pipeline.schema import EXCLUDED, TEST, TRAIN, VALIDATION
from gender_pipeline.splitting import SplittingSettings, audit_split, group_subjects, official_folds, split_photos

PROTOCOL: Final = (
    "each official fold is tested once by a model trained on the others, of which a part is for validation; "
    "photos of a tested subject or near-duplicates of a tested photo in other folds are left out"
)


def measure_folds(
    manifest: pd.DataFrame, splitting: SplittingSettings, measure_split: Callable[[pd.DataFrame], Slice]
) -> pd.DataFrame:
    """Test every fold of the data sets that have folds; the photos of other data sets take no part at all.

    A model that had also been trained on other data could not be compared with what is published for the folds.

    Args:
        manifest: N photos with the columns that splitting asks for.
        splitting: How validation is drawn from the folds that are not tested; `protocol`, `test_fold` and `fallback`
            do not count here.
        measure_split: Trains on a split manifest and gives the slice of its test photos.

    Returns:
        One row a fold: `fold` (`fold_0`), `params.test_fold` (0), `params.sources`, `photos` and `subjects` tested,
        `train_photos`, `validation_photos`, `excluded_photos`, and the metrics as `flat_metrics` names them
        (`test.accuracy`, `test.accuracy_low`, ...).

    Raises:
        EvaluationError: No data set has folds.
        SplittingError: Two data sets have different folds, or one has one fold only.
    """
    published = official_folds(manifest)
    with_folds = manifest[manifest["source"].isin(published)]
    if with_folds.empty:
        raise EvaluationError(
            "no data set has official folds",
            expected="photos whose official_split is fold_0, fold_1, ...",
            received=_parts(manifest) or "no photo",
            remedy="use a data set that publishes folds, such as age_gender, and name it in the recipe's `sources`",
        )
    groups = group_subjects(with_folds, splitting)
    numbers = sorted(set().union(*published.values()))
    # All of them before the first training, so that what is wrong with the last fold is said at once.
    splits = [_split(with_folds, groups, splitting, number) for number in numbers]
    rows = []
    for number, split in zip(numbers, tqdm(splits, desc="folds", unit="fold", disable=None), strict=True):
        about = {"fold": f"fold_{number}", "params.test_fold": number, "params.sources": ", ".join(published)}
        rows.append({**about, **_row(split, measure_split(split))})
    return pd.DataFrame(rows)


def summarise_folds(folds: pd.DataFrame, recipe_name: str) -> dict[str, Any]:
    """Return the mean of each metric over the folds and its sample standard deviation (n - 1 in the denominator).

    Returns:
        `recipe`, `sources`, `protocol`, `folds` (count), `photos` tested in all of them, and `metrics`: name ->
        `{"mean": x, "standard_deviation": x}`. Every fold counts the same, whatever its size. A metric that is
        undefined in a fold is left out.
    """
    known = [name for name in METRICS if f"{TEST}.{name}" in folds and folds[f"{TEST}.{name}"].notna().all()]
    values = {name: folds[f"{TEST}.{name}"] for name in known}
    return {
        "recipe": recipe_name,
        "sources": folds["params.sources"].iloc[0],
        "protocol": PROTOCOL,
        "folds": len(folds),
        "photos": int(folds["photos"].sum()),
        "metrics": {
            name: {"mean": float(value.mean()), "standard_deviation": float(value.std(ddof=1))}
            for name, value in values.items()
        },
    }


def folds_markdown(folds: pd.DataFrame, summary: dict[str, Any]) -> str:
    """Return the folds and their summary as a page of Markdown."""
    rows = [
        f"| {row['fold']} | {row['photos']} | {row['subjects']} | {row['test.accuracy']:.4f} |"
        for row in folds.to_dict("records")
    ]
    metrics = [
        f"| {name} | {value['mean']:.4f} | {value['standard_deviation']:.4f} |"
        for name, value in summary["metrics"].items()
    ]
    accuracy = summary["metrics"]["accuracy"]
    return "\n".join(
        [
            f"# {summary['recipe']} on the {summary['folds']} folds of {summary['sources']}",
            "",
            f"Accuracy **{accuracy['mean']:.2%} \N{PLUS-MINUS SIGN} {accuracy['standard_deviation']:.2%}**: mean and "
            f"sample standard deviation (n - 1) over {summary['folds']} folds, {summary['photos']} photos tested.",
            "",
            f"Protocol: {summary['protocol']}.",
            "",
            "| fold tested | photos | subjects | accuracy |",
            "|---|---|---|---|",
            *rows,
            "",
            "| metric | mean | standard deviation |",
            "|---|---|---|",
            *metrics,
            "",
        ]
    )


def _split(manifest: pd.DataFrame, groups: pd.Series, splitting: SplittingSettings, fold: int) -> pd.DataFrame:
    """Test one fold and draw validation from the others; no subject is on two sides, or the audit raises."""
    official = {"protocol": "official", "test_fold": fold, "fallback": "error"}
    split = split_photos(manifest, groups, None, splitting.model_copy(update=official))
    audit_split(split)
    return split


def _row(split: pd.DataFrame, measured: Slice) -> dict[str, float]:
    counts = split["split"].value_counts()
    return {
        "photos": measured["photos"],
        "subjects": measured["subjects"],
        **{f"{part}_photos": int(counts.get(part, 0)) for part in (TRAIN, VALIDATION, EXCLUDED)},
        **flat_metrics({TEST: {OVERALL: measured}}),
    }


def _parts(manifest: pd.DataFrame) -> str:
    """Say what each data set publishes instead of folds."""
    parts = manifest["official_split"].groupby(manifest["source"], observed=True).unique()
    return "; ".join(f"{source}: {', '.join(sorted(filter(None, names))) or 'none'}" for source, names in parts.items())
