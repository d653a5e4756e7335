"""The converters, for a process of their own: they print a lot, patch numpy, and may end the process they run in."""

import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.export.settings import Format
from gender_pipeline.training.trained_model import TrainedModel

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import keras


def float32_network(network: "keras.Model") -> "keras.Model":
    """Return a network that computes in float32 with the same weights; no runtime but Keras knows bfloat16."""
    import keras

    if all(layer.compute_dtype == "float32" for layer in network.layers):
        return network

    def in_float32(layer: Any) -> Any:
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    copy = keras.models.clone_model(network, clone_function=in_float32)
    copy.set_weights(network.get_weights())
    return copy


def work(jobs: Sequence[Callable[[], None]], log: Path, answers: "Connection") -> None:
    """Run jobs in a worker process, and send after each `""`, or what went wrong and be done.

    All that is printed goes to the file `log`, and GPUs are left to others.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)  # TensorFlow's C++ side knows no sys.stderr
    os.dup2(file, 2)
    for job in jobs:
        try:
            job()
        except Exception as error:  # what converters raise on a network they do not know is an open set
            answers.send(f"{type(error).__name__}: {error}")
            return
        answers.send("")


def write_with_keras(model_folder: Path, destination: Path, kind: Literal["tf_saved_model", "onnx"]) -> None:
    """Write a trained model's folder as a TensorFlow SavedModel with the endpoint `serve`, or as an ONNX file."""
    import keras

    network = float32_network(TrainedModel.load(model_folder).network)
    pixels = keras.InputSpec("float32", shape=network.input_shape, name="pixels")  # else Keras wants it called before
    network.export(destination, format=kind, verbose=False, input_signature=[pixels])


def write_litert(
    saved_model: Path, destination: Path, kind: Format, *, photos: NDArray[np.uint8], float_share: float
) -> None:
    """Write a SavedModel as a LiteRT file.

    Args:
        saved_model: What `write_with_keras` wrote.
        destination: The file.
        kind: `float32`; `float16`, weights of half the size; `dynamic`, weights of a byte; `int8`, computing in bytes.
        photos: (n, S, S, 3) uint8 RGB, the ranges of whose activations `int8` is laid out for.
        float_share: Share of the operations, the first ones, that `int8` leaves in float32; in [0, 1).
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        # Pixels go in and probabilities come out as float32 all the same: every format is called alike.
        converter.representative_dataset = lambda: ([photo[np.newaxis].astype(np.float32)] for photo in photos)
        destination.write_bytes(_in_bytes(converter, photos[:1].astype(np.float32), float_share))
    else:
        destination.write_bytes(converter.convert())


def _in_bytes(converter: Any, photo: NDArray[np.float32], float_share: float) -> bytes:
    """Quantise all but the first operations: what the scaling of pixels and the first layers round off, all feel.

    This is what TensorFlow calls selective quantisation
    (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_debugger); one photo is enough
    for it to name the operations in their order.
    """
    import tensorflow as tf

    debugger = tf.lite.experimental.QuantizationDebugger(converter=converter, debug_dataset=lambda: [[photo]])
    debugger.run()
    table = io.StringIO()
    debugger.layer_statistics_dump(table)  # the only place where it gives the names that it takes below
    names = [row["tensor_name"] for row in csv.DictReader(table.getvalue().splitlines())]
    first = names[: int(float_share * len(names))]
    debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=first)
    return bytes(debugger.get_nondebug_quantized_model())
