import math
import time
from pathlib import Path

import mlflow
import pytest

from gender_pipeline.errors import UpkeepError
from gender_pipeline.registration import mlflow_moves
from gender_pipeline.registration.moves import Move
from gender_pipeline.upkeep import mlflow_artifacts
from gender_pipeline.upkeep.mlflow_artifacts import artifacts, remove_artifact, remove_model, run_ended_s, versions
from upkeep_worlds import artifact_names, log_run, model_folder, model_uri, register

NAME = "gender-classifier"
pytestmark = pytest.mark.usefixtures("store")


def later() -> float:
    return time.time() + 100


def test_what_is_large_of_old_runs_and_models_is_found_with_its_size(tmp_path) -> None:
    run = log_run(tmp_path)
    found = {it.kind + it.uri.partition("/artifacts/validation")[2]: it for it in artifacts("faces", later())}
    assert {it.kind for it in found.values()} == {"Data Docs", "tables of runs", "model files"}
    sizes = [found[f"Data Docs/{name}"].n_bytes for name in ("data_docs.html", "great_expectations")]
    assert sizes == [300, 600]
    assert found["model files"].source == model_uri(run)
    assert found["model files"].n_bytes == sum(it.stat().st_size for it in model_folder(run).rglob("*") if it.is_file())
    assert all(it.run_id == run for it in found.values())
    assert list(artifacts("faces", time.time() - 100)) == []
    assert list(artifacts("nobody's", later())) == []


def test_what_mlflow_has_elsewhere_or_behind_a_link_is_left_alone(store, tmp_path) -> None:
    run = log_run(tmp_path)
    docs = store / run / "artifacts" / "validation"
    docs.rename(tmp_path / "mine")
    docs.symlink_to(tmp_path / "mine")
    mlflow_artifacts._client().create_run(mlflow.get_run(run).info.experiment_id)  # an open one
    assert "Data Docs" not in {it.kind for it in artifacts("faces", later())}
    moved = store.rename(tmp_path / "elsewhere")
    store.symlink_to(moved)
    assert {it.kind for it in artifacts("faces", later())} == {"tables of runs", "model files"}


def test_a_removed_artifact_is_gone_and_the_parameters_stay(tmp_path) -> None:
    run = log_run(tmp_path)
    for found in artifacts("faces", later()):
        if found.kind != "model files":
            remove_artifact(found.uri)
    assert artifact_names(run) == {"parameters.yml"}
    assert {it.kind for it in artifacts("faces", later())} == {"model files"}


def test_a_version_says_that_its_files_were_removed(tmp_path) -> None:
    run = log_run(tmp_path)
    register(run)
    (model,) = (it for it in artifacts("faces", later()) if it.kind == "model files")
    remove_model(model.uri, "2026-12-24")
    assert not model_folder(run).exists()
    assert mlflow.MlflowClient().get_model_version(NAME, "1").tags["files.removed"] == "2026-12-24"


def test_files_stay_where_a_version_took_an_alias_meanwhile(tmp_path) -> None:
    run = log_run(tmp_path)
    register(run)
    (model,) = (it for it in artifacts("faces", later()) if it.kind == "model files")
    mlflow.MlflowClient().set_registered_model_alias(NAME, "shadow", 1)
    with pytest.raises(UpkeepError, match=r"a version took an alias meanwhile.*; start again"):
        remove_model(model.uri, "2026-12-24")
    assert mlflow.pyfunc.load_model(f"models:/{NAME}@shadow")
    assert "files.removed" not in mlflow.MlflowClient().get_model_version(NAME, "1").tags


def test_any_alias_and_any_move_under_way_holds_a_version(tmp_path) -> None:
    for _ in range(3):
        register(log_run(tmp_path), reproducible="true", **{"run.commit": "c" * 40})
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(NAME, "shadow", 1)
    experiment = client.create_experiment(f"{NAME} moves")
    move = Move(alias="staging", version="2", by="ada", why="", at_ms=1)
    mlflow_moves._log_move(client, experiment, NAME, move)
    assert {it.number: it.held for it in versions()} == {"1": True, "2": True, "3": False}
    assert {it.commit for it in versions()} == {"c" * 40}


def test_a_run_has_ended_or_else_it_never_does() -> None:
    with mlflow.start_run() as run:
        assert run_ended_s(run.info.run_id) == math.inf
    assert run_ended_s(run.info.run_id) == pytest.approx(time.time(), abs=60)
    mlflow.delete_run(run.info.run_id)
    assert run_ended_s(run.info.run_id) == pytest.approx(time.time(), abs=60)
    assert run_ended_s("0" * 32) == math.inf


def test_a_store_that_cannot_remove_is_an_error(monkeypatch) -> None:
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    def refuse(*_) -> None:
        raise PermissionError("read only")

    monkeypatch.setattr(LocalArtifactRepository, "delete_artifacts", refuse)
    with pytest.raises(UpkeepError, match=r"x/y cannot be removed; received read only; check the store's rights"):
        remove_artifact(Path("/nowhere/x/y").as_uri())
