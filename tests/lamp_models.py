"""Models to serve whose answer can be worked out by hand."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from gender_pipeline.export.networks import EXPORT_FILE, ExportDescription
from gender_pipeline.export.predictor import Network, Predictor
from gender_pipeline.files import file_digest
from gender_pipeline.serving.models import ServedModel

SIZE_PX = 32
Serve = Callable[..., TestClient]


def shade(value: int, kind: str = "PNG") -> bytes:
    """Encode a photo of one grey: `light` is answered with the probability value / 255."""
    file = io.BytesIO()
    Image.new("RGB", (SIZE_PX, SIZE_PX), (value,) * 3).save(file, kind)
    return file.getvalue()


def by_light(pixels: np.ndarray) -> np.ndarray:
    """Answer (n, S, S, 3) with the share of light in them."""
    light = pixels.mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - light, light], axis=1).astype(np.float32)


def served(version: str = "1", network: Network = by_light, names: tuple[str, ...] = ("dark", "light")) -> ServedModel:
    predictor = Predictor(network, names, SIZE_PX, facts={"recipe": "by_light"})
    return ServedModel(predictor, "lamp", version, "c0ffee", "# A card")


def form(*photos: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Make a form of photos, named by their numbers."""
    return [("photos", (f"{number}.png", photo, "image/png")) for number, photo in enumerate(photos)]


def lamp_file(folder: Path) -> Path:
    """Write the model as an exported file, which a server loads in a moment."""
    from onnx import TensorProto, helper, save

    light = [
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["light"]),
        helper.make_node("Sub", ["one", "light"], ["dark"]),
        helper.make_node("Unsqueeze", ["dark", "last"], ["dark_column"]),
        helper.make_node("Unsqueeze", ["light", "last"], ["light_column"]),
        helper.make_node("Concat", ["dark_column", "light_column"], ["probabilities"], axis=1),
    ]
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [1 / 255]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", SIZE_PX, SIZE_PX, 3])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(light, "lamp", [pixels], [answer], constants)
    path = folder / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    about = ExportDescription(
        name="lamp",
        class_names=("dark", "light"),
        image_size_px=SIZE_PX,
        framing="square",
        crop="none",
        preprocessing="",
        weights_digest="",
        files={path.name: file_digest(path)},
    )
    (folder / EXPORT_FILE).write_text(about.model_dump_json())
    return path
