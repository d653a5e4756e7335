"""From a run to files that other runtimes answer photos with."""

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from repositories import IDENTITY

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def project(copy_project, run) -> Path:
    """Put a model into production and export it."""
    folder = copy_project("export")
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", "--all")
    run(folder, "git", *IDENTITY, "commit", "--quiet", "--message", "start")
    run(folder, "kedro", "run", "--env", "smoke")
    done = run(folder, "kedro", "run", "--env", "smoke", "--pipelines", "export")
    assert "export/comparison.html" in done.stdout
    return folder


def test_the_version_in_production_is_exported_with_all_that_is_needed(project) -> None:
    folder = project / "data/smoke/export/model"
    about = json.loads((folder / "model.json").read_text())
    assert (about["name"], about["version"], len(about["commit"])) == ("gender-classifier", "1", 40)
    assert not (project / "data/smoke/export/unchecked").exists()
    assert "annotated apparent gender" in (folder / "model_card.md").read_text()


def test_the_comparison_is_in_mlflow(project) -> None:
    with closing(sqlite3.connect(project / "mlruns" / "mlflow.db")) as database:
        metrics = dict(database.execute("select key, value from latest_metrics where key like 'export/%'").fetchall())
    assert metrics["export/onnx.equal_labels"] == 1.0
    assert metrics["export/int8.latency_1_ms"] > 0


def test_the_files_answer_a_photo(project, run) -> None:
    folder, photo = project / "data/smoke/export/model", project / "photo.png"
    code = "from PIL import Image; Image.effect_noise((64, 64), 80).convert('RGB').save('photo.png')"
    run(project, sys.executable, "-c", code)
    for call in (["run_onnx.py"], ["run_litert.py", "int8.tflite"]):
        assert "female=0." in run(project, sys.executable, str(folder / call[0]), *call[1:], str(photo)).stdout


def test_a_tolerance_that_is_broken_fails_the_run_and_keeps_the_export_before(project, run) -> None:
    folder = project / "data/smoke/export"
    before = (folder / "model" / "SHA256SUMS").read_text()
    strict = "export.formats=int8,export.tolerances.int8.probability_difference=0.0"
    done = run(project, "kedro", "run", "--env", "smoke", "--pipelines", "export", "--params", strict, ok=False)
    assert done.returncode == 1
    assert "1 of 2 formats differ too much from the model" in done.stderr.splitlines()[-1]
    assert (folder / "model" / "SHA256SUMS").read_text() == before
    assert (folder / "unchecked" / "int8.tflite").exists()
