"""Search: try values of a recipe's settings, on the same photos and cached features, and keep the best model.

Test photos take no part: what is tried is compared by what training itself computes on the validation photos.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

import pandas as pd
from pydantic import Field, ValidationError, model_validator
from tqdm import tqdm

from gender_pipeline.errors import GenderPipelineError, SettingsError, TrainingError, examples
from gender_pipeline.recipes import Recipe, check_recipe
from gender_pipeline.schema import Settings
from gender_pipeline.training.trained_model import TrainedModel

if TYPE_CHECKING:
    from optuna.trial import Trial

Values = dict[str, Any]
Train = Callable[[Recipe], tuple[TrainedModel, pd.DataFrame]]

VAL_LOSS: Final = "val_loss"
# With these the validation loss is another quantity in every trial, and says nothing of which one is better.
_CHANGES_THE_LOSS: Final = frozenset({"loss.label_smoothing", "loss.focal_gamma", "head.output", "loss", "head"})
_log = logging.getLogger(__name__)


class Range(Settings):
    """Numbers between two bounds, both included; whole ones where both bounds are written as whole numbers.

    Attributes:
        low: The smallest.
        high: The largest, above `low`.
        log: Whether orders of magnitude are drawn evenly; `low` is above 0 then.
    """

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not (self.low < self.high and (self.low > 0 or not self.log)):
            raise ValueError(f"low must be below high, and above 0 with log, not {self.low} and {self.high}")
        return self


class SearchSettings(Settings):
    """What is tried, and which trial is the best.

    Attributes:
        method: `grid`, every combination of the values; `optuna`, values proposed by TPE (Bergstra et al. 2011) from
            the trials before.
        space: Dotted name of a setting of the recipe (`head.dropout`) -> the list of values to try, or with `optuna`
            also a range; null takes a setting out that another file put in.
        n_trials: Number of trainings of `optuna`; a grid has as many as it has combinations.
        choose_by: `val_loss`, the lowest one, or `val_accuracy`, the highest one, of the epochs whose weights are kept.
        seed: Of the proposals of `optuna`; the trainings have the seed of the recipe.
    """

    method: Literal["grid", "optuna"] = "grid"
    space: dict[str, Range | Annotated[tuple[Any, ...], Field(min_length=1)] | None]
    n_trials: int = Field(default=20, ge=1, le=10_000)
    choose_by: Literal["val_loss", "val_accuracy"] = "val_loss"
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        if not self.searched():
            raise ValueError("space names no setting to search")
        ranges = [key for key, values in self.searched().items() if isinstance(values, Range)]
        if self.method == "grid" and ranges:
            raise ValueError(f"a grid needs lists of values, not a range: {examples(ranges)}; or set method: optuna")
        misleading = sorted(_CHANGES_THE_LOSS & self.searched().keys())
        if self.choose_by == VAL_LOSS and misleading:
            raise ValueError(f"{examples(misleading)} changes what the loss is; set choose_by: val_accuracy")
        if "sources" in self.searched():
            raise ValueError("sources cannot be searched: every trial would have other validation photos")
        return self

    def searched(self) -> dict[str, Range | tuple[Any, ...]]:
        """Return the settings that are searched, with their values or range."""
        return {key: values for key, values in self.space.items() if values is not None}


@dataclass(frozen=True)
class Found:
    """What a search has found so far.

    Attributes:
        trials: One row a trial: `trial` (`trial_00`), `params.<setting>` (JSON where it is not a number or a word),
            `val_loss` and `val_accuracy` of the epoch whose weights were kept, that epoch as `best_epoch`, `epochs`
            run, `problem` (why it failed, with NaN for the numbers, else empty) and `chosen` (bool, True once).
        curves: One row a trial and epoch: `trial`, and the columns of its history.
        model: The best model; its recipe holds the values found.
        history: The best training's history.
    """

    trials: pd.DataFrame
    curves: pd.DataFrame
    model: TrainedModel
    history: pd.DataFrame


def search(recipe: Recipe, settings: SearchSettings, train: Train) -> Iterator[Found]:
    """Train a recipe with other and other values, and keep the best model.

    A trial that fails, for example because its loss is not finite, is a row of the table and not the end.

    Args:
        recipe: What is trained, but for the settings searched.
        settings: What is tried.
        train: `training.train` on one split, with one cache: the frozen layers are then computed once.

    Yields:
        After each trial what has been found until then, as soon as one trial has succeeded.

    Raises:
        SettingsError: Before any training, if a setting is unknown or a value is not valid.
        TrainingError: Every trial failed.
    """
    trials = _Trials(recipe, settings, train)
    for _ in _try_grid(trials) if settings.method == "grid" else _try_optuna(trials):
        if trials.best is not None:
            yield trials.found(trials.best)
    if trials.best is None:
        raise TrainingError(
            "every trial of the search failed", received=examples(dict.fromkeys(row["problem"] for row in trials.rows))
        )


def kept_epoch(history: pd.DataFrame) -> pd.Series:
    """Return the row of the epoch whose weights training keeps: the lowest validation loss of the last phase."""
    last = history[history["phase"] == history["phase"].iloc[-1]]
    kept: pd.Series = last.loc[last[VAL_LOSS].idxmin()]
    return kept


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with other values of some settings, given by their dotted names.

    Raises:
        SettingsError: A setting is unknown, a value is not valid, or the recipe contradicts itself with it.
    """
    data = recipe.model_dump()
    for name, value in values.items():
        *blocks, last = name.split(".")
        place: Any = data
        for block in blocks:
            place = place.get(block) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            raise SettingsError(
                f"cannot search {name!r}",
                expected="the dotted name of a setting of the recipe, such as optimizer.learning_rate",
                remedy="correct `space` in search.yml",
            )
        place[last] = value
    try:
        changed = Recipe.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        received = f"{'.'.join(map(str, first['loc']))} = {first['input']!r}: {first['msg']}"
        raise SettingsError(f"cannot search {examples(values)}", received=received) from error
    check_recipe(changed)
    return changed


@dataclass
class _Trials:
    """The trials so far and the best of them; the models of the others are let go."""

    recipe: Recipe
    settings: SearchSettings
    train: Train
    rows: list[Values] = field(default_factory=list)
    curves: list[pd.DataFrame] = field(default_factory=list)
    best: "_Best | None" = None

    def run(self, values: Values) -> float | None:
        """Train with these values; return the score, higher is better, or None if the training failed."""
        number = len(self.rows)
        row = {"trial": f"trial_{number:02}", **{f"params.{key}": _cell(value) for key, value in values.items()}}
        try:
            model, history = self.train(with_values(self.recipe, values))
        except GenderPipelineError as error:
            _log.warning("%s failed with %s: %s", row["trial"], values, error)
            self.rows.append({**row, "problem": str(error)})
            return None
        kept = kept_epoch(history)
        outcome = {**kept[["val_loss", "val_accuracy"]], "best_epoch": int(kept["epoch"]), "epochs": len(history)}
        self.rows.append({**row, **outcome, "problem": ""})
        self.curves.append(history.assign(trial=row["trial"])[["trial", *history.columns]])
        _log.info("%s: %s: %s", row["trial"], values, ", ".join(f"{key} {value:.4g}" for key, value in outcome.items()))
        score = float(-kept[VAL_LOSS] if self.settings.choose_by == VAL_LOSS else kept["val_accuracy"])
        if self.best is None or score > self.best.score:
            self.best = _Best(score, number, model, history)
        return score

    def found(self, best: "_Best") -> Found:
        """Return what there is by now."""
        trials = pd.DataFrame(self.rows).assign(chosen=[number == best.number for number in range(len(self.rows))])
        return Found(trials, pd.concat(self.curves, ignore_index=True), best.model, best.history)


@dataclass(frozen=True)
class _Best:
    score: float
    number: int
    model: TrainedModel
    history: pd.DataFrame


def _try_grid(trials: _Trials) -> Iterator[None]:
    """Try all combinations, the last setting changing fastest, after a check of each of them."""
    space = trials.settings.searched()
    # `SearchSettings` lets no range into a grid.
    lists = [values for values in space.values() if not isinstance(values, Range)]
    grid = [dict(zip(space, values, strict=True)) for values in product(*lists)]
    for values in grid:
        with_values(trials.recipe, values)
    for values in tqdm(grid, desc="search", unit="trial", disable=None):
        trials.run(values)
        yield


def _try_optuna(trials: _Trials) -> Iterator[None]:
    """Try what TPE proposes, after a check of each bound and choice; a combination may still make a trial fail."""
    import optuna

    settings = trials.settings
    for key, space in settings.searched().items():
        for value in (space.low, space.high) if isinstance(space, Range) else space:
            with_values(trials.recipe, {key: value})
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=settings.seed))
    for _ in tqdm(range(settings.n_trials), desc="search", unit="trial", disable=None):
        trial = study.ask()
        score = trials.run({key: _suggest(trial, key, space) for key, space in settings.searched().items()})
        study.tell(trial, score, state=optuna.trial.TrialState.FAIL if score is None else None)
        yield


def _suggest(trial: "Trial", key: str, space: Range | tuple[Any, ...]) -> Any:
    if not isinstance(space, Range):
        # By position: Optuna takes no lists for choices, and the widths of hidden layers are lists.
        return space[trial.suggest_categorical(key, range(len(space)))]
    if isinstance(space.low, int) and isinstance(space.high, int):
        return trial.suggest_int(key, space.low, space.high, log=space.log)
    return trial.suggest_float(key, space.low, space.high, log=space.log)


def _cell(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else json.dumps(value)
