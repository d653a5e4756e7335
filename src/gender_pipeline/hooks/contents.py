"""What MLflow is told of single data sets: digests as tags, numbers as metrics called `<chapter>/<name>`, inputs.

The names are the same in every run, whatever pipelines it consists of, so that all runs can be compared.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pandas as pd

from gender_pipeline.evaluation import flat_metrics, predictions_digest
from gender_pipeline.hooks.children import NOT_MEASURED, finite
from gender_pipeline.hooks.description import Story, photos_in_words
from gender_pipeline.images.manifest import manifest_digest
from gender_pipeline.registration.proposal import split_digest
from gender_pipeline.schema import EXCLUDED
from gender_pipeline.splitting import stratification_error
from gender_pipeline.training.search import VAL_LOSS, kept_epoch
from gender_pipeline.validation.expectations import ALL_PHOTOS


def _log_manifest(manifest: pd.DataFrame, story: Story) -> None:  # noqa: ARG001 one signature for all
    import mlflow

    mlflow.set_tag("manifest.digest", manifest_digest(manifest))
    mlflow.log_metric("manifest/photos", len(manifest))


def _log_validation(report: dict[str, Any], story: Story) -> None:  # noqa: ARG001
    import mlflow

    numbers = report["suites"][ALL_PHOTOS]["numbers"]
    broken = [name for name, suite in report["suites"].items() if not suite["success"]]
    mlflow.log_metrics(_named("validation", {**numbers, "broken_suites": len(broken)}))


def _log_split(split_manifest: pd.DataFrame, story: Story) -> None:
    """Log one input a source and split, with the digest of its photos and labels."""
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    mlflow.set_tag("data.digest", split_digest(split_manifest))
    sizes = {"stratification_error": stratification_error(split_manifest)}
    for side, photos in split_manifest.groupby("split", observed=True):
        sizes |= {f"{side}.photos": len(photos), f"{side}.subjects": photos["group"].nunique()}
    mlflow.log_metrics(_named("splitting", sizes))
    story.photos = photos_in_words(split_manifest)
    used = split_manifest[split_manifest["split"] != EXCLUDED]
    for (source, split), rows in used.groupby(["source", "split"], observed=True):
        tags = {"photos": str(len(rows)), "subjects": str(rows["group"].nunique())}
        dataset = MetaDataset(  # type: ignore[abstract]  # its abstract property has a default
            CodeDatasetSource(tags), name=f"{source}.{split}", digest=split_digest(rows)[:32]
        )
        mlflow.log_input(dataset, context=str(split), tags=tags)


def _log_history(history: pd.DataFrame, story: Story) -> None:  # noqa: ARG001
    import mlflow

    for row in history.to_dict("records"):
        curves = {str(name): value for name, value in row.items() if name not in NOT_MEASURED}
        mlflow.log_metrics(_named("training", curves), step=int(row["epoch"]))
    if history[VAL_LOSS].notna().all():
        kept = kept_epoch(history)[[VAL_LOSS, "val_accuracy", "epoch"]].add_prefix("kept_")
        mlflow.log_metrics(_named("training", {**kept, "epochs": len(history)}))


def _log_weights(model: Any, story: Story) -> None:  # noqa: ARG001
    import mlflow

    mlflow.set_tag("weights.digest", model.weights_digest)


def _log_predictions(predictions: pd.DataFrame, story: Story) -> None:  # noqa: ARG001
    import mlflow

    mlflow.set_tag("predictions.digest", predictions_digest(predictions))


def _log_metrics(metrics: dict[str, Any], story: Story) -> None:
    import mlflow

    mlflow.log_metrics(_named("evaluation", flat_metrics(metrics)))
    story.metrics = metrics


def _log_choice(trials: pd.DataFrame, story: Story) -> None:  # noqa: ARG001
    import mlflow

    mlflow.set_tag("search.chosen", trials.loc[trials["chosen"], "trial"].item())


def _log_folds(summary: dict[str, Any], story: Story) -> None:  # noqa: ARG001
    import mlflow

    mlflow.log_metrics({f"evaluation/test.{name}": value["mean"] for name, value in summary["metrics"].items()})


def _log_exports(comparison: dict[str, Any], story: Story) -> None:  # noqa: ARG001
    import mlflow

    formats = comparison["formats"].items()
    numbers = {f"{name}.{metric}": value for name, row in formats for metric, value in row.items()}
    mlflow.log_metrics(_named("export", numbers))
    mlflow.set_tag("export.version", comparison["version"])


def _log_scoring(counts: dict[str, Any], story: Story) -> None:  # noqa: ARG001
    import mlflow

    mlflow.set_tag("model.version", f"{counts['model']}/{counts['version']}")
    numbers = {name: value for name, value in counts.items() if isinstance(value, int)}
    parts = {"without_face": "photos", "unreadable": "photos"}
    parts |= {name: "faces" for name in numbers if name.startswith("answers.")}
    shares = {f"{name}_share": numbers[name] / max(numbers[whole], 1) for name, whole in parts.items()}
    mlflow.log_metrics(_named("scoring", {**numbers, **shares}))


def _named(chapter: str, values: Mapping[str, Any]) -> dict[str, float]:
    return {f"{chapter}/{name}": value for name, value in finite(values).items()}


CONTENTS: Final[Mapping[str, Callable[[Any, Story], None]]] = {
    "manifest": _log_manifest,
    "validation_report": _log_validation,
    "split_manifest": _log_split,
    "history": _log_history,
    "model": _log_weights,
    "predictions": _log_predictions,
    "metrics": _log_metrics,
    "trials": _log_choice,
    "fold_summary": _log_folds,
    "scoring_counts": _log_scoring,
    "export_comparison": _log_exports,
}
# What a run of later chapters begins with: it is told of as if the run had made it.
STARTING_POINTS: Final = frozenset({"manifest", "split_manifest", "model"})
