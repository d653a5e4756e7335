from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from gender_pipeline.datasets import FileDataset, FolderDataset
from gender_pipeline.errors import NothingToDoError
from gender_pipeline.hooks.unchanged import check_unchanged, is_whole, key_now, run_inputs
from gender_pipeline.scheduling.run_key import LastRun


def step(name: str) -> Node:
    return Node(lambda value: value, f"{name}_in", f"{name}_out", name=name)


STORY = Pipeline([step("read"), step("register")])


@pytest.fixture
def client(tmp_path):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(None)


@pytest.fixture
def catalog(tmp_path) -> DataCatalog:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.zip").write_text("1")
    (tmp_path / "report.json").write_text("{}")
    (tmp_path / "corrections.csv").write_text("image_id\n")
    parameters = {"training": SimpleNamespace(weights="own.safetensors"), "seed": 0}
    return DataCatalog(
        {
            "parameters": MemoryDataset(parameters),
            "raw_archives": FolderDataset(filepath=str(tmp_path / "raw")),
            "report": FileDataset(filepath=str(tmp_path / "report.json")),
            "label_corrections": FolderDataset(filepath=str(tmp_path / "corrections.csv")),
        }
    )


@pytest.fixture
def last(client, catalog, tmp_path) -> LastRun:
    run = client.create_run("0", tags={"mlflow.note.content": "Recipe tiny."})
    key = key_now(inputs(tmp_path, catalog), catalog)
    return LastRun(key=key, run_id=run.info.run_id, date="2026-01-01", outputs=("report", "memory"))


def inputs(project: Path, catalog: DataCatalog, config: object = None, **others: object) -> dict:
    return run_inputs(project, catalog, config or {}, **{"pipeline": STORY, "env": "smoke"} | others)


def test_a_run_of_all_chapters_is_whole_whatever_else_runs() -> None:
    assert is_whole(STORY, STORY)
    assert is_whole(STORY + Pipeline([step("more")]), STORY)
    assert not is_whole(STORY.from_nodes("register"), STORY)


def test_the_same_again_is_nothing_to_do_with_a_note_on_the_run_it_would_repeat(
    client, catalog, last, tmp_path
) -> None:
    message = f"nothing to do: same data, code and parameters as MLflow run {last.run_id} of 2026-01-01 .*force=true"
    for count in (1, 2):
        with pytest.raises(NothingToDoError, match=message):
            check_unchanged(last, inputs(tmp_path, catalog), catalog)
        tags = client.get_run(last.run_id).data.tags
        assert tags["unchanged.count"] == str(count)
    note = f"Recipe tiny. Since then there was nothing to do: 2 times, last {tags['unchanged.last']}."
    assert tags["mlflow.note.content"] == note


def new_raw_file(folder: Path, _: DataCatalog) -> None:
    (folder / "raw" / "b.zip").touch()


def correction(folder: Path, _: DataCatalog) -> None:
    (folder / "corrections.csv").write_text("image_id\nx\n")


def lock(folder: Path, _: DataCatalog) -> None:
    (folder / "requirements").mkdir()
    (folder / "requirements" / "lock.txt").write_text("keras==9")


def weights(folder: Path, _: DataCatalog) -> None:
    (folder / "own.safetensors").touch()


def data_version_control(folder: Path, _: DataCatalog) -> None:
    (folder / ".dvc").mkdir()


def parameter(_: Path, catalog: DataCatalog) -> None:
    catalog["parameters"] = catalog.load("parameters") | {"seed": 1}


def output_gone(folder: Path, _: DataCatalog) -> None:
    (folder / "report.json").unlink()


@pytest.mark.parametrize(
    "change", [new_raw_file, correction, lock, weights, data_version_control, parameter, output_gone]
)
def test_anything_new_is_run(catalog, last, tmp_path, change) -> None:
    change(tmp_path, catalog)
    check_unchanged(last, inputs(tmp_path, catalog), catalog)


@pytest.mark.parametrize(
    "other", [{"env": "real"}, {"config": {"report": {}}}, {"pipeline": STORY + Pipeline([step("more")])}]
)
def test_another_environment_catalog_or_pipeline_is_run(catalog, last, tmp_path, other) -> None:
    check_unchanged(last, inputs(tmp_path, catalog, **other), catalog)


def test_other_packages_or_code_are_run(catalog, last, tmp_path, monkeypatch) -> None:
    for name in ("_packages", "code_digest"):
        with monkeypatch.context() as patch:
            patch.setattr(f"gender_pipeline.hooks.unchanged.{name}", lambda *_: "other")
            check_unchanged(last, inputs(tmp_path, catalog), catalog)


def test_a_run_that_the_server_does_not_have_is_run_again(client, catalog, last, tmp_path) -> None:
    client.delete_run(last.run_id)
    for lost in (last, last.model_copy(update={"run_id": "0" * 32})):
        check_unchanged(lost, inputs(tmp_path, catalog), catalog)


def test_without_a_last_run_there_is_something_to_do(catalog, tmp_path) -> None:
    check_unchanged(None, inputs(tmp_path, catalog), catalog)
