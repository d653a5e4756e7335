import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from gender_pipeline.errors import RegistrationError
from gender_pipeline.registration import mlflow_moves
from gender_pipeline.registration.mlflow_moves import (
    advance,
    list_moves,
    make_moves,
    promote,
    read_log,
    rollback,
    settle,
)
from gender_pipeline.registration.moves import Move, fold

NAME = "gender-classifier"
GOOD = {"gate": "passed", "reproducible": "true"}


@pytest.fixture
def client(server, monkeypatch) -> mlflow.MlflowClient:
    """Give a registry with versions 1 to 4, all of which may be promoted."""
    monkeypatch.setattr(mlflow_moves, "PAUSE_S", 0.0)
    client = mlflow.MlflowClient()
    client.create_registered_model(NAME)
    for _ in range(4):
        client.create_model_version(NAME, str(server), tags=GOOD)
    return client


def aliases(client) -> dict[str, str]:
    return {alias: str(version) for alias, version in client.get_registered_model(NAME).aliases.items()}


def move(alias: str, version: str) -> Move:
    return Move(alias=alias, version=version, by="ada", why="a test")


def put(version: str) -> None:
    """Bring a version to production."""
    promote(NAME, version, "staging", by="ada", why="a test")
    promote(NAME, version, "production", by="ada", why="a test")


def test_staging_then_production_and_the_former_becomes_previous(client) -> None:
    put("1")
    assert aliases(client) == {"staging": "1", "production": "1"}
    put("2")
    assert aliases(client) == {"staging": "2", "production": "2", "previous": "1"}
    assert not promote(NAME, "2", "production", by="ada", why="again")
    assert len(read_log(client, NAME)) == 4


def test_production_is_for_the_holder_of_staging_or_previous(client) -> None:
    put("1")
    with pytest.raises(RegistrationError, match="version 3 cannot go to 'production' at once; expected the holder of"):
        promote(NAME, "3", "production", by="ada", why="haste")
    put("2")
    assert promote(NAME, "1", "production", by="ada", why="it is the previous one")
    assert aliases(client) == {"staging": "2", "production": "1", "previous": "2"}


@pytest.mark.parametrize(
    ("tag", "value", "reason"),
    [
        ("gate", "failed", "received gate failed; test.f1: expected at least 1, received 0;"),
        ("reproducible", "false", "received not reproducible: no git;"),
    ],
)
def test_what_failed_its_gate_or_cannot_be_rebuilt_takes_no_alias(client, tag, value, reason) -> None:
    for name, text in {tag: value, "reproducible.why": "no git"}.items():
        client.set_model_version_tag(NAME, "1", name, text)
    if tag == "gate":
        client.set_model_version_tag(NAME, "1", "gate.reason.1", "test.f1: expected at least 1, received 0")
    with pytest.raises(RegistrationError, match=reason):
        promote(NAME, "1", "staging", by="ada", why="")
    client.delete_model_version_tag(NAME, "1", tag)
    with pytest.raises(RegistrationError, match="version 1 cannot be promoted"):
        promote(NAME, "1", "staging", by="ada", why="")
    assert aliases(client) == {}


def test_rollback_swaps_production_and_previous(client) -> None:
    put("1")
    with pytest.raises(RegistrationError, match="no version to go back to; expected a holder of 'previous'"):
        rollback(NAME, by="ada", why="")
    put("2")
    assert rollback(NAME, by="ada", why="wrong on glasses") == ("2", "1")
    assert aliases(client) == {"staging": "2", "production": "1", "previous": "2"}
    assert rollback(NAME, by="ada", why="it was the camera") == ("1", "2")


def test_every_move_is_in_the_log_and_on_its_version(client) -> None:
    put("1")
    put("2")
    rollback(NAME, by="bob", why="wrong on glasses")
    *_, last = rows = list_moves(NAME)
    moved = [(row["alias"], row["version"], row["from"]) for row in rows]
    assert moved == [
        ("staging", "1", "none"),
        ("production", "1", "none"),
        ("staging", "2", "1"),
        ("production", "2", "1"),
        ("production", "1", "2"),
    ]
    assert (last["by"], last["why"], last["state"]) == ("bob", "wrong on glasses", "done")
    tag = client.get_model_version(NAME, "1").tags["moved.production"]
    assert tag == f"{last['when']} by bob, from 2: wrong on glasses"
    run = client.get_run(read_log(client, NAME)[-1].move_id)
    tags = {"model": NAME, "alias": "production", "version": "1", "by": "bob", "from": "2", "why": "wrong on glasses"}
    assert tags.items() <= run.data.tags.items()
    assert run.info.status == "FINISHED"
    # Runs of the log that somebody deletes in the UI are still read.
    client.delete_run(run.info.run_id)
    assert (len(list_moves(NAME)), aliases(client)["production"]) == (5, "1")


@pytest.mark.usefixtures("client")
def test_a_log_of_nothing_is_one_line() -> None:
    with pytest.raises(RegistrationError, match="no move of a model named 'gender-classifier' is recorded"):
        list_moves(NAME)
    assert settle("nobody") == {}


def test_the_log_comes_back_from_the_trash(client) -> None:
    put("1")
    client.delete_experiment(client.get_experiment_by_name(f"{NAME} moves").experiment_id)
    put("2")
    assert len(read_log(client, NAME)) == 4


def test_a_log_longer_than_a_page_is_read_to_its_end(client, monkeypatch) -> None:
    monkeypatch.setattr(mlflow_moves, "_PAGE", 2)
    for version in ("1", "2", "3"):
        put(version)
    assert [move.version for move in read_log(client, NAME)] == ["1", "1", "2", "2", "3", "3"]


def test_versions_from_before_the_log_are_taken_over(client) -> None:
    client.set_registered_model_alias(NAME, "staging", "2")
    client.set_registered_model_alias(NAME, "production", "1")
    assert settle(NAME) == {"staging": "2", "production": "1"}
    put("2")
    assert aliases(client) == {"staging": "2", "production": "2", "previous": "1"}
    assert [row["by"] for row in list_moves(NAME)] == ["MLflow", "MLflow", "ada"]


def test_what_was_moved_in_the_mlflow_ui_is_recorded_and_not_reverted(client) -> None:
    put("1")
    client.set_registered_model_alias(NAME, "production", "3")
    client.delete_registered_model_alias(NAME, "staging")
    client.set_registered_model_alias(NAME, "canary", "4")
    assert settle(NAME) == {"production": "3", "previous": "1"}
    assert aliases(client) == {"production": "3", "previous": "1", "canary": "4"}
    moved = [(row["by"], row["alias"], row["version"], row["from"]) for row in list_moves(NAME)[2:]]
    assert moved == [("MLflow", "staging", "none", "1"), ("MLflow", "production", "3", "1")]


def test_versions_that_were_deleted_do_not_break_the_log(client) -> None:
    for version in ("1", "2", "3"):
        put(version)
    client.delete_model_version(NAME, "3")
    assert settle(NAME) == {"previous": "2"}
    put("4")
    assert aliases(client) == {"staging": "4", "production": "4", "previous": "2"}
    client.delete_model_version(NAME, "1")
    client.delete_model_version(NAME, "2")
    assert settle(NAME) == {"staging": "4", "production": "4"}


def test_a_clock_that_is_behind_does_not_put_a_move_before_those_it_knows(client, monkeypatch) -> None:
    put("1")
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    put("2")
    assert aliases(client)["production"] == "2"


def test_a_version_that_passed_takes_each_alias_once(client) -> None:
    def go(version: str, champion: str, *, to_production: bool = True) -> list[str]:
        return advance(NAME, version, champion=champion, to_production=to_production, by="ada", why="passed")

    assert go("1", "") == []
    assert go("1", "1") == []
    assert go("2", "1", to_production=False) == []
    assert aliases(client) == {"staging": "2", "production": "1"}
    assert go("2", "1") == []
    rollback(NAME, by="ada", why="")
    # The next run makes the same model again: that does not undo the rollback.
    assert go("2", "1") == ["production: version 2 had it before; gender-pipeline promote brings it back"]
    # Another run was faster.
    assert go("3", "2") == ["production: version 1 took it while this candidate was made"]
    assert aliases(client) == {"staging": "3", "production": "1", "previous": "2"}


PROLOGUE = """
import os, signal, sys, time
from pathlib import Path
import mlflow
from gender_pipeline.registration.mlflow_moves import make_moves, promote, settle
from gender_pipeline.registration.moves import Move
mlflow.set_tracking_uri(sys.argv[1])
"""


def start(server: Path, code: str, *arguments: str) -> subprocess.Popen[str]:
    """Run code in a process of its own that uses the same registry."""
    command = [sys.executable, "-c", PROLOGUE + code, f"sqlite:///{server}/mlflow.db", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=server)


RACE = """
version, times, folder = sys.argv[2], int(sys.argv[3]), Path.cwd()
(folder / f"ready{version}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
for number in range(times):
    make_moves("gender-classifier", [Move(alias="production", version=version, by=version, why=str(number))])
"""
WATCH = """
Path("ready0").touch()
while not Path("stop").exists():
    settle("gender-classifier")
"""


def test_promotions_at_the_same_time_do_not_lose_one_another(server, client) -> None:
    times = 4
    racers = [start(server, RACE, version, str(times)) for version in ("1", "2", "3")]
    watcher = start(server, WATCH)
    while len(list(server.glob("ready?"))) < 4:
        assert all(process.poll() is None for process in (*racers, watcher))
        time.sleep(0.1)
    (server / "go").touch()
    for process in (*racers, watcher):
        _, problem = process.communicate(timeout=300)
        assert process.returncode == 0, problem
        if process is racers[-1]:
            (server / "stop").touch()
    log = read_log(client, NAME)
    # Nothing is missing, and the watcher took nothing for a move by hand.
    made = {version: [move.why for move in log if move.by == version] for version in ("1", "2", "3")}
    assert all(whys == [str(number) for number in range(times)] for whys in made.values())
    assert len(log) == 3 * times
    assert not any(move.pending for move in log)
    versions = [move.version for move in log]
    assert versions != sorted(versions, key=versions.index)  # they met
    former = next(version for version in reversed(versions) if version != versions[-1])
    assert aliases(client) == fold(log) == {"production": versions[-1], "previous": former}


KILLED = """
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(mlflow.MlflowClient, sys.argv[2], die)
promote("gender-classifier", "2", "production", by="ada", why="killed")
"""


@pytest.mark.parametrize("where", ["set_registered_model_alias", "set_model_version_tag", "set_terminated"])
def test_a_promotion_killed_after_its_log_entry_is_completed_by_the_next_command(
    server, client, monkeypatch, where
) -> None:
    put("1")
    promote(NAME, "2", "staging", by="ada", why="")
    killed = start(server, KILLED, where)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert (where == "set_registered_model_alias") == (aliases(client)["production"] == "1")
    assert read_log(client, NAME)[-1].pending
    assert settle(NAME) == {"staging": "2", "production": "2", "previous": "1"}
    assert aliases(client) == settle(NAME)
    # Its run is ended once nobody can be at it any more.
    assert list_moves(NAME)[-1]["state"] == "under way"
    monkeypatch.setattr(mlflow_moves, "GRACE_MS", -1)
    assert list_moves(NAME)[-1]["state"] == "done"
    assert client.get_model_version(NAME, "2").tags["moved.production"].endswith("from 1: killed")


@pytest.mark.usefixtures("client")
def test_an_alias_that_cannot_be_set_is_an_error_and_the_move_stays_in_the_log(monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise mlflow.MlflowException("locked")

    monkeypatch.setattr(mlflow_moves, "_ATTEMPTS", 2)
    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, "set_registered_model_alias", fail)
        with pytest.raises(RegistrationError, match="aliases of gender-classifier cannot be set; received locked"):
            make_moves(NAME, [move("staging", "1")])
    assert settle(NAME) == {"staging": "1"}


def test_a_version_whose_files_were_cleaned_up_takes_no_alias(client) -> None:
    put("1")
    put("2")
    for version in ("1", "3"):
        client.set_model_version_tag(NAME, version, "files.removed", "2026-01-01")
    with pytest.raises(RegistrationError, match="its model files were removed on 2026-01-01"):
        promote(NAME, "3", "staging", by="ada", why="a test")
    with pytest.raises(RegistrationError, match="cannot go back to version 1: its model files were removed"):
        rollback(NAME, by="ada", why="a test")
