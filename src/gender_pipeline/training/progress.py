"""How far a training has come: its history, its best weights, and the checkpoint from which a killed one goes on."""

import json
import logging
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gender_pipeline.errors import TrainingError
from gender_pipeline.files import write_bytes
from gender_pipeline.recipes import Phase, Recipe

if TYPE_CHECKING:
    import keras

HISTORY_COLUMNS: Final = ("epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
CHECKPOINT_SECONDS: Final = 10.0  # what a kill loses, beside the epoch it falls into, unless a save takes over 0.5 s
_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """Where a training stands, between two epochs.

    Attributes:
        phase: Number of the phase, from 0.
        epoch: Epochs done in that phase.
        waited: Epochs done since the lowest validation loss of the phase.
        lowest: That loss.
        history: One row an epoch over all phases, with the keys `HISTORY_COLUMNS`.
        weights: Weights and states of random generators after the last epoch, of what is trained.
        state: The optimiser's variables then.
        best: Weights of the epoch of the lowest validation loss of the phase.
    """

    phase: int = 0
    epoch: int = 0
    waited: int = 0
    lowest: float = math.inf
    history: list[dict[str, float]] = field(default_factory=list)
    weights: list[NDArray[Any]] = field(default_factory=list)
    state: list[NDArray[Any]] = field(default_factory=list)
    best: list[NDArray[Any]] = field(default_factory=list)

    def begin_phase(self, number: int) -> None:
        """Keep the history, and forget what belongs to the phase that has ended."""
        self.phase, self.epoch, self.waited, self.lowest = number, 0, 0, math.inf
        self.weights, self.state, self.best = [], [], []


_ARRAYS: Final = ("weights", "state", "best")


@dataclass(frozen=True)
class Checkpoint:
    """A file that holds the progress of one training and of no other.

    Attributes:
        path: The file, or None where nothing is kept.
        key: Digest of all that the training depends on; progress of another one is not taken over.
    """

    path: Path | None
    key: str

    def load(self) -> Progress:
        """Return the progress kept, or that of a training which has not begun; a damaged file is not trusted."""
        if self.path is None or not self.path.is_file():
            return Progress()
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "numpy") as file:
                facts = json.loads(file.metadata()["progress"])
                names = {kind: _of_kind(kind, file.keys()) for kind in _ARRAYS}
                arrays: dict[str, Any] = {kind: [file.get_tensor(name) for name in names[kind]] for kind in _ARRAYS}
            if facts.pop("key") != self.key:
                return Progress()
            progress = Progress(**facts, **arrays)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            _log.warning("checkpoint %s is damaged (%s); the training begins anew", self.path.name, error)
            return Progress()
        _log.info("the training goes on after epoch %d of phase %d", progress.epoch, progress.phase + 1)
        return progress

    def save(self, progress: Progress) -> None:
        """Keep the progress, in one rename."""
        if self.path is None:
            return
        from safetensors.numpy import save

        facts = {key: value for key, value in vars(progress).items() if key not in _ARRAYS}
        tensors = {
            f"{kind}.{number}": np.array(array, order="C")
            for kind in _ARRAYS
            for number, array in enumerate(getattr(progress, kind))
        }
        write_bytes(self.path, save(tensors, {"progress": json.dumps({**facts, "key": self.key})}))

    def clear(self) -> None:
        """Forget the progress of a training that has ended."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _of_kind(kind: str, names: Iterable[str]) -> list[str]:
    """Return the names of one kind, `weights.0`, `weights.1`, ..., in order."""
    return [name for _, name in sorted((int(n.partition(".")[2]), n) for n in names if n.startswith(f"{kind}."))]


def recorder(recipe: Recipe, phase: Phase, progress: Progress, checkpoint: Checkpoint) -> "keras.callbacks.Callback":
    """Make the callback that brings `progress` up to date after every epoch and stops a phase that gains nothing.

    Raises:
        TrainingError: From the callback, at a loss that is not finite.
    """
    import keras

    class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
        due = time.monotonic() + CHECKPOINT_SECONDS

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 Keras calls it so
            title = f"{recipe.name}, {phase.trainable}, epoch {epoch + 1} of {phase.epochs}"
            self.bar = tqdm(total=self.params["steps"], desc=title, unit="batch", disable=None, leave=False)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 Keras calls it so
            self.bar.update()

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            self.bar.close()
            # As float32 it would be written as 0.009999999776.
            rate = float(f"{float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)):.6g}")
            _check_finite(recipe, epoch, logs, rate)
            # No seconds: the history is the same for the same training, as every other file of a chapter.
            row = {**logs, "epoch": len(progress.history) + 1, "phase": progress.phase + 1, "learning_rate": rate}
            progress.history.append({column: row[column] for column in HISTORY_COLUMNS})
            _log.info("%s, epoch %d of %d: %s", phase.trainable, epoch + 1, phase.epochs, _text(logs))
            progress.epoch, progress.waited = epoch + 1, progress.waited + 1
            if logs["val_loss"] < progress.lowest:
                progress.lowest, progress.waited, progress.best = logs["val_loss"], 0, self.model.get_weights()
            self.model.stop_training = progress.waited >= recipe.patience
            if (start := time.monotonic()) > self.due:
                progress.weights, progress.state = (list(map(_value, part)) for part in _variables(self.model))
                checkpoint.save(progress)
                # A large network is kept less often, so that keeping it takes at most a twentieth of the time.
                self.due = time.monotonic() + CHECKPOINT_SECONDS * max(1.0, 2 * (time.monotonic() - start))

    return Recorder()


def restore(suffix: "keras.Model", progress: Progress) -> None:
    """Put a compiled network and its optimiser back to where the progress was kept."""
    if progress.weights:
        suffix.optimizer.build(suffix.trainable_variables)
        for variables, values in zip(_variables(suffix), (progress.weights, progress.state), strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)


def _variables(model: "keras.Model") -> tuple[list[Any], list[Any]]:
    """Give all that changes in a step: weights and the states of random generators, then the optimiser's variables."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return [v for v in model.variables if id(v) not in metrics], list(model.optimizer.variables)


def _value(variable: Any) -> NDArray[Any]:
    import keras

    return np.array(keras.ops.convert_to_numpy(variable))


def _check_finite(recipe: Recipe, epoch: int, logs: dict[str, float], rate: float) -> None:
    if not (math.isfinite(logs["loss"]) and math.isfinite(logs["val_loss"])):
        raise TrainingError(
            f"recipe {recipe.name}: the loss is not finite in epoch {epoch + 1}",
            received=f"loss {logs['loss']}, learning_rate {rate}",
            remedy="lower the learning rate",
        )


def _text(logs: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in logs.items())
