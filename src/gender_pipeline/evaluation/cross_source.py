"""Train on one data set, test on each: how much of an accuracy is knowledge of a data set's own ways."""

import logging
from typing import Annotated, Any, Final

import pandas as pd
from pydantic import Field
from tqdm import tqdm

from gender_pipeline.errors import EvaluationError, TrainingError
from gender_pipeline.evaluation.experiment import Experiment
from gender_pipeline.evaluation.slices import OVERALL, Slice
from gender_pipeline.recipes import Recipe
from gender_pipeline.schema import TEST, TRAIN, Settings

ACCURACY: Final = ("accuracy", "accuracy_low", "accuracy_high")
_log = logging.getLogger(__name__)


class CrossSourceSettings(Settings):
    """What is enough to say something."""

    min_photos: Annotated[int, Field(ge=1)] = 30
    """Fewest train photos of a data set that a model is trained on, and fewest test photos that it is tested on."""


def cross_source_cells(experiment: Experiment, recipe: Recipe, settings: CrossSourceSettings) -> pd.DataFrame:
    """Train a recipe on each data set and on all together, and test each model on the test photos of each data set.

    A model learns from the train photos of its data set and stops by its validation photos. Its test photos are those
    of the common split, so that the diagonal is no easier than the rest: no subject of a test photo was trained on.

    Args:
        experiment: Photos of m data sets.
        recipe: What is trained; its own `sources` do not count.
        settings: What is enough to say something.

    Returns:
        (m + 1) * m rows, `trained_on` x `tested_on`, the last m of them `trained_on` `all`: the number of
        `train_photos`, `test_photos` and `test_subjects`, `accuracy` in [0, 1] with `accuracy_low` and
        `accuracy_high`, NaN where there is none, and `problem`, which says why, or is empty.

    Raises:
        EvaluationError: Not one model could be trained.
    """
    rows: list[dict[str, Any]] = []
    for source in tqdm([*experiment.sources(), OVERALL], desc="trained on", unit="source", disable=None):
        wanted = recipe.model_copy(update={"sources": () if source == OVERALL else (source,)})
        rows += _row(experiment, wanted, source, settings.min_photos)
    cells = pd.DataFrame(rows)
    if cells["accuracy"].isna().all():
        problems = dict(zip(cells["trained_on"], cells["problem"], strict=True))
        raise EvaluationError(
            "no data set could be trained and tested on",
            received="; ".join(f"{source}: {problem}" for source, problem in problems.items()),
            remedy="lower cross_source.min_photos, or add photos",
        )
    return cells


def cross_source_matrix(cells: pd.DataFrame) -> pd.DataFrame:
    """Turn the cells into one row a trained model.

    Returns:
        `trained_on`, `params.sources` (the same), `train_photos`, for each data set tested on
        `test.<source>.accuracy`, `test.<source>.accuracy_low` and `test.<source>.accuracy_high`, and `problem` where
        nothing could be trained.
    """
    rows: list[dict[str, Any]] = []
    for source, row in cells.groupby("trained_on", sort=False):
        numbers = {
            f"{TEST}.{cell['tested_on']}.{name}": cell[name] for cell in row.to_dict("records") for name in ACCURACY
        }
        # A problem of one cell is not one of the model.
        problem = row["problem"].iloc[0] if row["accuracy"].isna().all() else ""
        counted = {"params.sources": source, "train_photos": row["train_photos"].iloc[0]}
        rows.append({"trained_on": source, **counted, **numbers, "problem": problem})
    return pd.DataFrame(rows)


def _row(experiment: Experiment, recipe: Recipe, source: str, min_photos: int) -> list[dict[str, Any]]:
    """Give the cells of one trained model."""
    photos = experiment.split_manifest
    trained = photos[(photos["split"] == TRAIN) & ((photos["source"] == source) | (source == OVERALL))]
    tested = photos[photos["split"] == TEST]
    slices: dict[str, Slice] = {}
    problem = ""
    if len(trained) < min_photos:
        problem = f"{len(trained)} train photos, fewer than {min_photos}"
    else:
        try:
            slices = experiment.test(experiment.train(recipe))
        except TrainingError as error:  # such as a class without train photos; the other rows still say something
            _log.warning("nothing can be trained on %s: %s", source, error)
            problem = str(error)
    return [
        {"trained_on": source, "tested_on": name, "train_photos": len(trained)}
        | _cell(tested[tested["source"] == name], slices.get(name), problem, min_photos)
        for name in experiment.sources()
    ]


def _cell(tested: pd.DataFrame, measured: Slice | None, problem: str, min_photos: int) -> dict[str, Any]:
    if not problem and len(tested) < min_photos:
        problem = f"{len(tested)} test photos, fewer than {min_photos}"
    elif not problem and tested["label"].nunique() < 2:
        problem = "test photos of one class only"
    interval = {} if problem or measured is None else measured["metrics"]["accuracy"]
    return {
        "test_photos": len(tested),
        "test_subjects": tested["group"].nunique(),
        **{name: interval.get(key) for name, key in zip(ACCURACY, ("value", "low", "high"), strict=True)},
        "problem": problem,
    }
