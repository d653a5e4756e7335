"""A team of two: two clones of the project, one MLflow server on PostgreSQL, artifacts and raw data in an S3 store.

Environment variables and the DVC remote's address say all of it; the two run at the same time. The number of runs of
each is RUNS_A_CLONE.
"""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mlflow
import psycopg2
import pytest
import yaml
from mlflow import MlflowClient

from local_servers import BIN, keys
from repositories import IDENTITY

pytestmark = pytest.mark.servers

PROJECT = Path(__file__).parents[2]
MODEL = "gender-classifier"
RUNS = int(os.environ.get("RUNS_A_CLONE", "2"))
SEEDS = {"ada": range(100, 100 + RUNS), "bob": range(200, 200 + RUNS)}
OWN_PHOTOS = "sample.n_subjects=0,raw_root=data/raw/own"
FAST = "training.image_size_px=64,training.epochs=2,evaluation.n_bootstrap=100"


@dataclass(frozen=True)
class Team:
    """Who works where, and the variables they share."""

    folder: Path
    environment: dict[str, str]

    def run(self, who: str, *command: str) -> str:
        """Run a command in somebody's clone, with its own code; it must succeed. Return what it prints."""
        clone = self.folder / who
        path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(clone / "src")}
        variables = os.environ | self.environment | path
        done = subprocess.run(command, cwd=clone, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{who}: {' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def commit(self, who: str, message: str) -> None:
        """Commit everything in somebody's clone and push it."""
        self.run(who, "git", "add", "--all")
        self.run(who, "git", *IDENTITY, "commit", "--quiet", "--message", message)
        self.run(who, "git", "push", "--quiet", "origin", f"HEAD:{who}")

    def clone(self, who: str, branch: str) -> Path:
        """Clone somebody's branch."""
        (self.folder / who).mkdir()
        self.run(who, "git", "clone", "--quiet", "--branch", branch, str(self.folder / "origin.git"), ".")
        return self.folder / who


@pytest.fixture(scope="module")
def team(server, store, tmp_path_factory) -> Team:
    """Ada puts project and photos where the team finds them; Bob clones and pulls, and changes something of his own."""
    team = Team(tmp_path_factory.mktemp("team"), {**store, "MLFLOW_TRACKING_URI": server})
    ada = team.folder / "ada"
    for part in ("conf", "src", "requirements", ".dvc"):
        shutil.copytree(PROJECT / part, ada / part, ignore=shutil.ignore_patterns("__pycache__", "tmp", "cache"))
    for part in ("pyproject.toml", "dvc.yaml", ".gitignore", ".dvcignore", ".telemetry"):
        shutil.copy(PROJECT / part, ada / part)
    team.run("ada", "git", "init", "--quiet", "--bare", str(team.folder / "origin.git"))
    team.run("ada", "git", "init", "--quiet")
    team.run("ada", "git", "remote", "add", "origin", str(team.folder / "origin.git"))
    team.run("ada", "gender-pipeline", "sample", "--subjects", "36", "data/raw/own")
    team.run("ada", "dvc", "add", "--quiet", "data/raw/own")
    team.run("ada", "dvc", "remote", "add", "--quiet", "--default", "storage", "s3://dvc/photos")
    team.run("ada", "dvc", "push", "--quiet", "data/raw/own")
    team.commit("ada", "the project and its photos")
    (team.clone("bob", "ada") / "bob.md").write_text("Bob's own change.\n")
    team.run("bob", "dvc", "pull", "--quiet", "data/raw/own")
    team.commit("bob", "a change")
    return team


@pytest.fixture(scope="module")
def history(team) -> Team:
    """Both have run, at the same time, each with its own seeds."""

    def work(who: str) -> None:
        for seed in SEEDS[who]:
            parameters = f"{OWN_PHOTOS},{FAST},force=true,training.seed={seed}"
            team.run(who, "kedro", "run", "--env", "smoke", "--params", parameters)

    with ThreadPoolExecutor(len(SEEDS)) as pool:
        list(pool.map(work, SEEDS))
    return team


@pytest.fixture
def client(history, monkeypatch):
    """A client of the server, as any member of the team has it."""
    for name, value in history.environment.items():
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(history.environment["MLFLOW_TRACKING_URI"])
    yield MlflowClient()
    mlflow.set_tracking_uri(None)


def runs_of(client) -> list:
    experiment = client.get_experiment_by_name("gender_pipeline")
    return list(client.search_runs([experiment.experiment_id]))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_raw_photos_come_to_another_clone_through_the_store(team, store) -> None:
    own = {who: files(team.folder / who / "data/raw/own") for who in SEEDS}
    assert own["ada"] == own["bob"]
    assert len(keys(store, "dvc", "photos/files/md5/")) > len({*own["ada"].values()})


def test_no_address_and_no_key_of_the_store_is_in_a_commit(team) -> None:
    committed = "".join(
        team.run("ada", "git", "show", f"HEAD:{name}") for name in (".dvc/config", "conf/base/mlflow.yml")
    )
    assert "s3://dvc/photos" in committed
    assert not [value for value in team.environment.values() if value in committed]


def test_every_run_is_complete_and_carries_the_commit_of_its_clone(history, client) -> None:
    commits = {who: history.run(who, "git", "rev-parse", "HEAD").strip() for who in SEEDS}
    assert commits["ada"] != commits["bob"]
    found = {(run.data.tags["git.commit"], int(run.data.params["recipe.seed"])): run for run in runs_of(client)}
    assert set(found) == {(commits[who], seed) for who, seeds in SEEDS.items() for seed in seeds}
    assert len(runs_of(client)) == len(SEEDS) * RUNS
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert len({run.data.tags["weights.digest"] for run in found.values()}) == len(found)


def test_every_run_has_its_own_artifacts_in_the_store(client, store) -> None:
    for run in runs_of(client):
        assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
        place = f"{run.info.experiment_id}/{run.info.run_id}/artifacts/"
        names = {name.removeprefix(place) for name in keys(store, "mlflow", place)}
        assert {"parameters.yml", "evaluation/predictions.parquet"} <= names
        parameters = yaml.safe_load(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/parameters.yml"))
        assert str(parameters["training"]["seed"]) == run.data.params["recipe.seed"]


def test_no_clone_has_a_database_or_artifacts_of_its_own(history) -> None:
    assert not [path for who in SEEDS for path in (history.folder / who / "mlruns").rglob("*") if path.is_file()]


def test_versions_are_numbered_without_a_gap_and_each_is_of_its_run(client) -> None:
    versions = client.search_model_versions(f"name='{MODEL}'")
    assert sorted(int(version.version) for version in versions) == list(range(1, len(SEEDS) * RUNS + 1))
    runs = {run.info.run_id: run.data.tags for run in runs_of(client)}
    assert {version.run_id for version in versions} == set(runs)
    for version in versions:
        for tag in ("git.commit", "run.commit", "weights.digest", "reproducible"):
            assert version.tags[tag] == runs[version.run_id][tag]
        assert version.tags["reproducible"] == "true"


def test_postgresql_holds_versions_and_aliases(database, client) -> None:
    with psycopg2.connect(database.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from model_versions where name = %s", [MODEL])
        assert cursor.fetchone() == (len(SEEDS) * RUNS,)
        cursor.execute("select alias, version from registered_model_aliases where name = %s", [MODEL])
        aliases = {alias: str(version) for alias, version in cursor.fetchall()}
    assert aliases == {alias: str(number) for alias, number in client.get_registered_model(MODEL).aliases.items()}
    assert {"staging", "production"} <= set(aliases)


def test_aliases_are_where_the_log_of_moves_says(client) -> None:
    from gender_pipeline.registration.mlflow_moves import list_moves

    log, aliases = list_moves(MODEL), client.get_registered_model(MODEL).aliases
    assert {move["state"] for move in log} == {"done"}
    for alias in ("staging", "production"):
        moves = [move for move in log if move["alias"] == alias]
        # Every move came from where the one before went to: none was lost.
        assert [move["from"] for move in moves] == ["none", *(move["version"] for move in moves[:-1])]
        assert str(aliases[alias]) == moves[-1]["version"]
    assert str(aliases.get("previous", "none")) == moves[-1]["from"]


def test_commands_in_any_clone_say_the_same(history) -> None:
    said = {who: history.run(who, "gender-pipeline", "models") for who in SEEDS}
    assert said["ada"] == said["bob"]
    assert len(said["ada"].splitlines()) == len(SEEDS) * RUNS + 1


def test_a_third_clone_rebuilds_a_version_with_git_the_store_and_the_server_alone(history) -> None:
    history.clone("carol", "bob")
    said = history.run("carol", "gender-pipeline", "reproduce", f"{MODEL}/1")
    assert said.splitlines()[-1] == "PASS"
