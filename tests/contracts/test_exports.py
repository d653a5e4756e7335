"""What holds for the exports of every head and precision that a recipe can have."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exported import saved, tiny_trained
from gender_pipeline.export.convert import float32_network, write_litert, write_with_keras
from gender_pipeline.export.networks import load_network

CASES: dict[str, dict[str, Any]] = {
    "sigmoid in bfloat16": {"head": {"output": "sigmoid"}, "precision": "bfloat16"},
    "sigmoids": {"head": {"output": "sigmoids"}, "n_classes": 3},
    "hidden layers in float16": {
        "head": {"pooling": "flatten", "hidden_units": [8], "batch_norm": True, "dropout": 0.5},
        "precision": "float16",
    },
}


# A conversion takes seconds: the first case goes with every run.
LONG = [pytest.param(case, id=name, marks=pytest.mark.long) for name, case in list(CASES.items())[1:]]


@pytest.mark.parametrize("case", [pytest.param(next(iter(CASES.values())), id=next(iter(CASES))), *LONG])
def test_every_head_is_exported_and_answers_as_in_float32(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_trained(monkeypatch, **case)
    folder = saved(model, tmp_path / "model")
    random = np.random.default_rng(0)
    photos = (random.integers(0, 200, (6, 1, 1, 3)) + random.integers(0, 50, (6, 32, 32, 3))).astype(np.uint8)
    pixels = photos.astype(np.float32)
    network = float32_network(model.network)
    expected = network.predict_on_batch(pixels)
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    np.testing.assert_allclose(model.network.predict_on_batch(pixels), expected, atol=0.1)

    write_with_keras(folder, tmp_path / "saved_model", "tf_saved_model")
    write_with_keras(folder, tmp_path / "model.onnx", "onnx")
    for kind in ("float32", "int8"):
        path = tmp_path / f"{kind}.tflite"
        write_litert(tmp_path / "saved_model", path, kind, photos=photos, float_share=0.2)
    for name, tolerance in {
        "saved_model": 1e-4,
        "model.onnx": 1e-4,
        "float32.tflite": 1e-4,
        "int8.tflite": 0.2,
    }.items():
        np.testing.assert_allclose(load_network(tmp_path / name)(pixels), expected, atol=tolerance, err_msg=name)
