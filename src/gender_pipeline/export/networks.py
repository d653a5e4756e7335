"""Networks of exported files, each run by its own runtime: ONNX, LiteRT, SavedModel."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from gender_pipeline.errors import ExportError
from gender_pipeline.files import file_digest, text_digest
from gender_pipeline.images.decode import Framing
from gender_pipeline.schema import Settings

EXPORT_FILE: Final = "model.json"  # as in a model's own folder: who loads either looks for one name
SAVED_MODEL: Final = "saved_model"

# From raw pixels (n, S, S, 3) float32 in [0, 255], RGB, to probabilities (n, k) float32. Not for two threads at once.
Network: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class ExportDescription(Settings):
    """Content of `model.json` beside exported files: all that the files themselves do not hold.

    Attributes:
        name: Name in the model registry, or of the recipe.
        version: Version in the registry; empty where it is in none.
        commit: Git commit of the run that made it; empty where none is known.
        class_names: The k classes in the order of the probabilities.
        image_size_px: Side of the square images the network sees, in pixels.
        framing: Which part of a photo is scaled to that square.
        crop: What is cut out of a photo before: `face`, or `none`.
        preprocessing: The way from a photo's bytes to the network's input, in words.
        weights_digest: sha256 over the structure and the weights of the network they were exported from.
        files: sha256 of each exported file by its name; of a folder, `folder_digest`.
    """

    name: str
    version: str = ""
    commit: str = ""
    class_names: tuple[str, ...] = Field(min_length=2)
    image_size_px: int = Field(ge=32, le=512)
    framing: Framing
    crop: Literal["none", "face"]
    preprocessing: str
    weights_digest: str
    files: dict[str, str]


def read_description(path: Path) -> ExportDescription:
    """Read the description beside an exported file, and check that the file is the one it describes.

    Raises:
        ExportError: There is no description, it is no valid one, or the file is another one.
    """
    try:
        description = ExportDescription.model_validate_json((path.parent / EXPORT_FILE).read_bytes())
        found = folder_digest(path) if path.is_dir() else file_digest(path)
    except OSError as error:
        raise ExportError(
            f"cannot load {path}",
            expected=f"an exported file with {EXPORT_FILE} beside it",
            received=f"{error.filename}: {error.strerror}",
            remedy="copy the whole folder of the export, or write it again: kedro run --pipelines export",
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ExportError(
            f"cannot load {path}",
            expected=f"a valid {EXPORT_FILE} of an export beside it",
            received=f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}",
        ) from error
    if found != description.files.get(path.name):
        raise ExportError(
            f"cannot load {path}: it is damaged, or of another export than {EXPORT_FILE}",
            expected=f"sha256 {description.files.get(path.name, 'of a file the description names')}",
            received=found,
            remedy="copy the folder of the export again",
        )
    return description


def folder_digest(folder: Path) -> str:
    """Return a sha256 over the names and contents of a folder's files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return text_digest("\n".join(f"{file_digest(path)}  {path.relative_to(folder).as_posix()}" for path in files))


def load_network(path: Path) -> Network:
    """Load an exported file by its name: `*.onnx`, `*.tflite`, or a folder `saved_model`.

    Raises:
        ExportError: The name is none of these, or the file's runtime refuses it.
    """
    if path.is_dir():
        load = _saved_model
    elif path.suffix in (".onnx", ".tflite"):
        load = _onnx if path.suffix == ".onnx" else _litert
    else:
        raise ExportError(
            f"cannot load {path}", expected=f"*.onnx, *.tflite, a folder {SAVED_MODEL} or a model's own folder"
        )
    try:
        return load(path)
    except Exception as error:  # what the runtimes raise on a damaged file is an open set
        received = f"{type(error).__name__}: {error}"[:300]
        raise ExportError(f"cannot load {path}", expected="a whole exported network", received=received) from error


def _onnx(path: Path) -> Network:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=onnxruntime.get_available_providers())
    name = session.get_inputs()[0].name
    return lambda pixels: np.asarray(session.run(None, {name: pixels})[0], np.float32)


def _litert(path: Path) -> Network:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    pixels_in, answer_out = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    shape: tuple[int, ...] = ()

    def run(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal shape
        if pixels.shape != shape:  # to allocate costs more than a small batch
            interpreter.resize_tensor_input(pixels_in, pixels.shape)
            interpreter.allocate_tensors()
            shape = pixels.shape
        interpreter.set_tensor(pixels_in, pixels)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(answer_out), np.float32)

    return run


def _saved_model(path: Path) -> Network:
    import tensorflow as tf

    loaded: Any = tf.saved_model.load(str(path))
    return lambda pixels: np.asarray(loaded.serve(tf.constant(pixels)), np.float32)
