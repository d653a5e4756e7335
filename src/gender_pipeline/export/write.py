"""Write a model as files that other runtimes load, beside them all that is needed to answer photos with these."""

import logging
import multiprocessing
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gender_pipeline.errors import ExportError
from gender_pipeline.export.convert import work, write_litert, write_with_keras
from gender_pipeline.export.networks import EXPORT_FILE, SAVED_MODEL, ExportDescription, folder_digest
from gender_pipeline.export.settings import FILES, ExportSettings, Format
from gender_pipeline.files import atomic_folder, file_digest
from gender_pipeline.training import TrainedModel

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

LABELS_FILE: Final = "labels.txt"
CARD_FILE: Final = "model_card.md"
SUMS_FILE: Final = "SHA256SUMS"
# What shows how to run a file; copied beside it, they import nothing of this project.
SCRIPTS: Final[Mapping[str, set[Format]]] = {
    "run_saved_model.py": {"saved_model"},
    "run_onnx.py": {"onnx"},
    "run_litert.py": {"float32", "float16", "dynamic", "int8"},
}
_log = logging.getLogger(__name__)


def describe(model: TrainedModel, *, name: str, version: str, commit: str) -> ExportDescription:
    """Return what goes beside the exports of a registered model, but for the digests of the files."""
    recipe = model.recipe
    return ExportDescription(
        name=name,
        version=version,
        commit=commit,
        class_names=model.class_names,
        image_size_px=recipe.image_size_px,
        framing=recipe.framing,
        crop=recipe.crop,
        preprocessing=model.preprocessing,
        weights_digest=model.weights_digest,
        files={},
    )


def write_exports(
    folder: Path,
    *,
    model_folder: Path,
    settings: ExportSettings,
    photos: NDArray[np.uint8],
    about: ExportDescription,
    card: str,
) -> None:
    """Replace a folder by exports of a model, in one rename.

    Args:
        folder: The folder.
        model_folder: What `TrainedModel.save` wrote.
        settings: What is written.
        photos: (n, S, S, 3) uint8 RGB, train photos for `int8`.
        about: The description, but for its `files`.
        card: The model card, Markdown.

    Raises:
        ExportError: A converter refuses the network, or ends its process.
    """
    with atomic_folder(folder) as temporary:
        _convert(temporary, model_folder, settings, photos)
        digests = {FILES[name]: _digest(temporary / FILES[name]) for name in settings.formats}
        described = about.model_copy(update={"files": digests})
        (temporary / EXPORT_FILE).write_text(described.model_dump_json(indent=1) + "\n", "utf-8")
        (temporary / LABELS_FILE).write_text("".join(f"{name}\n" for name in about.class_names), "utf-8")
        (temporary / CARD_FILE).write_text(card, "utf-8")
        for script in [script for script, runs in SCRIPTS.items() if runs & set(settings.formats)]:
            shutil.copy(Path(__file__).parent / "scripts" / script, temporary)


def publish(folder: Path, *, checked: Path, pages: dict[str, str]) -> None:
    """Move exports that were checked to the place that people copy from, in one rename.

    Args:
        folder: That place.
        checked: What `write_exports` wrote; it is gone afterwards.
        pages: What else goes beside them: file name -> text.
    """
    with atomic_folder(folder) as temporary:
        for path in checked.iterdir():
            path.rename(temporary / path.name)
        for name, text in pages.items():
            (temporary / name).write_text(text, "utf-8")
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        sums = [f"{file_digest(path)}  {path.relative_to(temporary).as_posix()}\n" for path in files]
        (temporary / SUMS_FILE).write_text("".join(sums), "utf-8")
    shutil.rmtree(checked)


def _convert(folder: Path, model_folder: Path, settings: ExportSettings, photos: NDArray[np.uint8]) -> None:
    """Write the formats one after the other; the SavedModel comes first, for the LiteRT files are made of it."""
    formats = settings.formats
    with tempfile.TemporaryDirectory() as scratch:
        saved = (folder if "saved_model" in formats else Path(scratch)) / SAVED_MODEL
        with_keras = partial(write_with_keras, model_folder)
        litert = partial(write_litert, saved, float_share=settings.float_share)
        jobs: dict[Format, Callable[[], None]] = {"saved_model": partial(with_keras, saved, "tf_saved_model")}
        for name, file in FILES.items():
            if name in formats and name != "saved_model":
                few = photos if name == "int8" else photos[:0]
                in_litert = partial(litert, folder / file, name, photos=few)
                jobs[name] = partial(with_keras, folder / file, "onnx") if name == "onnx" else in_litert
        _run_apart(jobs, Path(scratch) / "log")


def _run_apart(jobs: Mapping[Format, Callable[[], None]], log: Path) -> None:
    spawn = multiprocessing.get_context("spawn")  # not forked: TensorFlow's threads do not survive that
    answers, sender = spawn.Pipe(duplex=False)
    log.touch()
    worker = spawn.Process(target=work, args=(list(jobs.values()), log, sender), daemon=True)
    worker.start()
    sender.close()  # so that the end of the worker is the end of its answers
    try:
        for name in tqdm(jobs, desc="export", unit="format", disable=None):
            _check_answer(name, answers, log)
    finally:
        worker.kill()  # it is done, or nobody waits for it any more
        worker.join()
        _log.debug("converters: %s", log.read_text("utf-8", "replace"))


def _check_answer(name: Format, answers: "Connection", log: Path) -> None:
    try:
        problem = answers.recv()
    except EOFError:
        problem = f"the end of its process: {log.read_text('utf-8', 'replace')[-300:]}"
    if problem:
        raise ExportError(
            f"the model cannot be exported as {name}",
            expected="a network of layers that the converter knows",
            received=problem[:500],
            remedy=f"leave {name} out of `export.formats`, or train a recipe with another network or head",
        )


def _digest(path: Path) -> str:
    return folder_digest(path) if path.is_dir() else file_digest(path)
