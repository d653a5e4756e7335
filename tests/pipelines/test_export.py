"""The nodes of the export around its gate, and its page; what converters do is tested with the library."""

import json
from pathlib import Path
from typing import Any

import pytest

from gender_pipeline.errors import ExportError
from gender_pipeline.export.settings import ExportSettings, Tolerance
from gender_pipeline.pipelines.export import nodes

STRICT = Tolerance(equal_labels=0.99, probability_difference=0.1, accuracy_loss=0.01)
SETTINGS = ExportSettings(formats=("int8",), tolerances={"keras": STRICT, "int8": STRICT})
KERAS = {
    "file": "", "size_bytes": 16_000_000, "equal_labels": 1.0, "probability_difference": 0.0, "accuracy": 0.9,
    "accuracy_loss": 0.0, "latency_1_ms": 20.0, "latency_32_ms": 300.0, "photos": 2000,
}  # fmt: skip
INT8 = {**KERAS, "file": "int8.tflite", "size_bytes": 4_660_000, "equal_labels": 0.9935, "latency_1_ms": 4.0}


def comparison(**int8: float) -> dict[str, Any]:
    formats = {"keras": KERAS, "int8": {**INT8, **int8}}
    return {"name": "<tiny>", "version": "7", "device": "a processor, 2 threads", "formats": formats}


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    folder = tmp_path / "export" / "unchecked"
    folder.mkdir(parents=True)
    (folder / "int8.tflite").write_bytes(b"network")
    return folder


def test_what_passes_the_gate_moves_to_where_it_is_copied_from(candidate: Path) -> None:
    target = candidate.parent / "model"
    nodes.pass_gate(candidate, comparison(), "<p>page</p>", SETTINGS)(target)
    assert not candidate.exists()
    assert (target / "int8.tflite").read_bytes() == b"network"
    assert json.loads((target / "comparison.json").read_text()) == comparison()
    assert {line.split()[1] for line in (target / "SHA256SUMS").read_text().splitlines()} == {
        "comparison.html", "comparison.json", "int8.tflite",
    }  # fmt: skip


def test_what_is_out_of_its_tolerance_stays_and_leaves_the_export_before(candidate: Path) -> None:
    (candidate.parent / "model").mkdir()
    (candidate.parent / "model" / "old").touch()
    with pytest.raises(ExportError, match=r"\[int8: at least 99.00% equal labels\]; received \[int8: 98.00%\]"):
        nodes.pass_gate(candidate, comparison(equal_labels=0.98), "", SETTINGS)
    assert (candidate / "int8.tflite").exists()
    assert (candidate.parent / "model" / "old").exists()


def test_the_page_shows_each_format_beside_keras_and_escapes_names() -> None:
    page = nodes.present(comparison(), "Photos made in code.")
    for text in ("Exports of &lt;tiny&gt; version 7", "Photos made in code.", "99.35%", "int8.tflite", "4.7", "5.0"):
        assert text in page
    assert "<tiny>" not in page
    assert page.count("data:image/png;base64,") == 1
