"""Any version again: after three commits and a change of the data, from a clone that never ran anything."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from repositories import IDENTITY

pytestmark = pytest.mark.long

OWN = "sample.n_subjects=0,raw_root=data/raw/own"


@pytest.fixture(scope="module")
def history(copy_project, run, tmp_path_factory) -> Path:
    """Version 1; then other raw data, code and configuration in three commits; then version 2 from a dirty tree."""
    project, outside = copy_project("history"), tmp_path_factory.mktemp("outside")

    def commit(message: str) -> None:
        run(project, "git", "add", "--all")
        run(project, "git", *IDENTITY, "commit", "--quiet", "--allow-empty", "--message", message)

    if not (project / ".git").exists():
        run(project, "git", "init", "--quiet", "--initial-branch", "main")
    run(project, "git", "init", "--quiet", "--bare", str(outside / "remote.git"))
    run(project, "git", "remote", "add", "origin", str(outside / "remote.git"))
    run(project, "dvc", "remote", "add", "--default", "storage", str(outside / "storage"))
    commit("start")
    run(project, "gender-pipeline", "sample", "--subjects", "36", "data/raw/own")
    run(project, "kedro", "run", "--env", "smoke", "--params", OWN)

    shutil.rmtree(project / "data" / "raw" / "own")
    run(project, "gender-pipeline", "sample", "--subjects", "40", "data/raw/own")
    recipe = project / "conf/base/parameters/recipes/quickstart.yml"
    recipe.write_text(recipe.read_text().replace("patience: ", "patience: 1"))
    commit("more patience")
    losses = project / "src/gender_pipeline/training/losses.py"
    losses.write_text(losses.read_text() + "\n# one line more\n")
    commit("a comment")
    commit("nothing")
    run(project, "git", "push", "--quiet", "origin", "HEAD:main")
    losses.write_text(losses.read_text() + "\n# not committed\n")
    run(project, "kedro", "run", "--env", "smoke", "--params", OWN)
    return project


def query(project: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(project / "mlruns" / "mlflow.db")) as database:
        return database.execute(sql).fetchall()


def test_a_clone_that_never_ran_anything_rebuilds_version_1_bit_by_bit(history, run, tmp_path) -> None:
    (remote,) = run(history, "git", "remote", "get-url", "origin").stdout.split()
    run(tmp_path, "git", "clone", "--quiet", "--branch", "main", remote, "clone")
    clone = tmp_path / "clone"
    (clone / "conf" / "local").mkdir(exist_ok=True)
    server = f"server:\n  mlflow_tracking_uri: sqlite:///{history}/mlruns/mlflow.db\n"
    (clone / "conf" / "local" / "mlflow.yml").write_text(server)
    versions = query(history, "select count(*) from model_versions")
    said = run(clone, "gender-pipeline", "reproduce", "gender-classifier/1").stdout
    assert said.splitlines()[-1] == "PASS"
    for row in ("raw data", "photos and labels", "split", "weights", "predictions", "evaluation/test.accuracy"):
        (line,) = [line for line in said.splitlines() if line.strip().startswith(f"{row} ") and "PASS" in line]
        assert line.split()[-2] == line.split()[-3]
    assert query(history, "select count(*) from model_versions") == versions
    assert not list((clone / ".dvc" / "tmp" / "reproductions").iterdir())


def test_a_version_of_a_dirty_tree_comes_from_what_the_tree_was(history, run) -> None:
    run(history, "git", "checkout", "--quiet", "--", "src")
    said = run(history, "gender-pipeline", "reproduce", "2").stdout
    assert said.splitlines()[-1] == "PASS"
    assert "code         1 files changed since: src/gender_pipeline/training/losses.py" in said
    assert "raw data     unchanged since" in said


def test_what_differs_fails_by_name_and_can_be_looked_at(history, run) -> None:
    (run_id,) = query(history, "select run_id from model_versions where version = 1")[0]
    with closing(sqlite3.connect(history / "mlruns" / "mlflow.db")) as database, database:
        database.execute("update tags set value = 'other' where key = 'weights.digest' and run_uuid = ?", (run_id,))
    done = run(history, "gender-pipeline", "reproduce", run_id, ok=False)
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines() if line.endswith(" FAIL")] == ["weights"]
    assert "raw data     " in done.stdout
    assert "files changed since" in done.stdout
    assert (history / ".dvc" / "tmp" / "reproductions" / run_id / "pyproject.toml").is_file()
