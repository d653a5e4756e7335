"""The model a server answers with, and how another version takes its place."""

import gc
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gender_pipeline.export.predictor import Predictor, load_predictor
from gender_pipeline.images.decode import WORKERS, map_ahead
from gender_pipeline.images.faces import find_faces
from gender_pipeline.serving.logs import log
from gender_pipeline.serving.metrics import Metrics

_RETRY_SECONDS: Final = 300.0  # until a version that could not be loaded is tried again: loading costs seconds


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A version that answers.

    Attributes:
        predictor: What answers; its network may be called by any thread, and works for one at a time.
        name: Its name in the model registry, or of the recipe or the file.
        version: Its number; empty for a file.
        commit: The git commit it can be rebuilt from; empty where none is known.
        card: Its model card, Markdown; empty where there is none.
        since: When it was loaded.
    """

    predictor: Predictor
    name: str
    version: str = ""
    commit: str = ""
    card: str = ""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))


class ModelHolder:
    """Holds the version that answers, and loads another one beside it.

    Args:
        load: Gives the model of a version; called in a thread.
        version_of: Says which version is wanted now; called in a thread.
        max_batch: The largest batch, for warming up.
        metrics: Where swaps and failures are counted.
    """

    def __init__(
        self,
        load: Callable[[str], ServedModel],
        version_of: Callable[[], str] = str,
        *,
        max_batch: int = 16,
        metrics: Metrics | None = None,
    ) -> None:
        self._load, self._version_of, self._max_batch = load, version_of, max_batch
        self.metrics = metrics or Metrics()
        self.current: ServedModel | None = None
        self._wanted: str | None = None
        self._refused: tuple[str, float] = ("", 0.0)  # version, and when it may be tried again
        self._reachable = True
        self._stop = threading.Event()

    def load_first(self) -> None:
        """Load and warm the version wanted now.

        Raises:
            GenderPipelineError: It cannot be had.
        """
        self._take(self._version_of())
        # After a swap a look through all of TensorFlow's objects would stop every thread, measured for 0.6 to 1.4 s; so
        # they are left out of it. Neither is the first version's memory found again when another one follows.
        gc.freeze()

    def refresh(self) -> None:
        """Take over the version wanted now, if it is another one; whatever goes wrong, the old one stays."""
        try:
            wanted = self._version_of()
        except Exception as error:  # registries of many kinds, each with errors of its own
            self.metrics.unreachable.inc()
            if self._reachable:
                log("the model registry cannot be asked", level=logging.WARNING, received=str(error))
            self._reachable = False
            return
        self._reachable = True
        refused, retry_at = self._refused
        if wanted == self._wanted or (wanted == refused and time.monotonic() < retry_at):
            return
        try:
            self._take(wanted)
        except Exception as error:  # a version that cannot be loaded must not take the server down
            self.metrics.failures.inc()
            self._refused = (wanted, time.monotonic() + _RETRY_SECONDS)
            log("a version cannot be loaded", level=logging.ERROR, error=error, version=wanted)

    def follow(self, seconds: float) -> None:
        """Refresh every so many seconds until `stop` is called."""
        while not self._stop.wait(seconds):
            self.refresh()

    def stop(self) -> None:
        """End `follow`."""
        self._stop.set()

    def _take(self, wanted: str) -> None:
        started = time.monotonic()
        loaded = self._load(wanted)
        model = replace(loaded, predictor=_one_at_a_time(loaded.predictor))
        _warm(model.predictor, self._max_batch)
        self.current, self._wanted = model, wanted
        self.metrics.swaps.inc()
        self.metrics.model.info({"name": model.name, "version": model.version, "commit": model.commit})
        log("model taken over", name=model.name, version=model.version, seconds=round(time.monotonic() - started, 3))
        gc.collect()  # networks are circles of references: the old one would keep its memory for long


def file_model(path: Path) -> ServedModel:
    """Load a model's folder or an exported file; its card is the `model_card.md` beside it.

    Raises:
        ExportError: It is damaged, incomplete, or neither.
    """
    predictor = load_predictor(path)
    facts, card = predictor.facts, path.parent / "model_card.md"
    name = facts.get("name") or facts.get("recipe") or path.name
    text = card.read_text("utf-8") if card.is_file() else ""
    return ServedModel(predictor, name, facts.get("version", ""), facts.get("commit", ""), text)


def _one_at_a_time(predictor: Predictor) -> Predictor:
    lock = threading.Lock()

    def network(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        with lock:
            return predictor.network(pixels)

    return replace(predictor, network=network)


def _warm(predictor: Predictor, max_batch: int) -> None:
    """Look at grey photos: the first pass of a size compiles, and a detector of faces is made at its first use."""
    if predictor.crop == "face":
        list(map_ahead(find_faces, [Image.new("RGB", (64, 64), "grey")] * WORKERS))
    for n_faces in sorted({1, 2, max_batch}):
        side = predictor.image_size_px
        predictor.classify(np.full((n_faces, side, side, 3), 128, np.uint8))
