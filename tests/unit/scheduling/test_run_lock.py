import json
import os
import subprocess
import sys

import pytest

from gender_pipeline.errors import RunError
from gender_pipeline.scheduling.run_lock import HOLDER_FILE, RunLock

HOLD = """
import pathlib, sys
from gender_pipeline.scheduling.run_lock import RunLock
lock = RunLock(pathlib.Path(sys.argv[1]))
lock.acquire()
lock.announce("kedro run --env other")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Give a process that holds the lock of `tmp_path`."""
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_that_is_held_is_refused_with_who_holds_it_and_what_to_do(tmp_path, other) -> None:
    message = (
        f"another run is going on in {tmp_path}; received process {other.pid} on .* since 2.*: kedro run --env other; "
    )
    with pytest.raises(RunError, match=f"{message}wait for its end, or stop it with: kill {other.pid}"):
        RunLock(tmp_path).acquire()


def test_the_lock_of_a_killed_process_is_taken_over_and_says_whose_it_was(tmp_path, other) -> None:
    other.kill()
    other.wait()
    killed = RunLock(tmp_path).acquire()
    assert killed is not None
    assert (killed.pid, killed.command) == (other.pid, "kedro run --env other")


def test_a_killed_process_is_known_until_the_next_one_announces_itself(tmp_path, other) -> None:
    other.kill()
    other.wait()
    lock = RunLock(tmp_path)
    killed = lock.acquire()
    lock._lock.release()  # as if this one were killed too, before it cleared up
    assert lock.acquire() == killed
    assert lock.announce("kedro run").pid == os.getpid()


def test_a_lock_that_was_given_back_leaves_nobody_to_clear_up_after(tmp_path) -> None:
    lock = RunLock(tmp_path / "new")
    assert lock.acquire() is None
    lock.announce("kedro run")
    lock.release()
    assert not (tmp_path / "new" / HOLDER_FILE).exists()
    assert RunLock(tmp_path / "new").acquire() is None


def test_two_data_roots_do_not_wait_for_one_another(tmp_path) -> None:
    assert RunLock(tmp_path / "a").acquire() is None
    assert RunLock(tmp_path / "b").acquire() is None


def test_a_lock_whose_holder_has_not_said_who_it_is_is_refused_too(tmp_path, other) -> None:  # noqa: ARG001 it holds
    (tmp_path / HOLDER_FILE).unlink()
    with pytest.raises(RunError, match="another run has just begun in"):
        RunLock(tmp_path).acquire()


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"pid": "x", "host": 1})])
def test_a_damaged_note_of_a_holder_names_nobody(tmp_path, text) -> None:
    (tmp_path / HOLDER_FILE).write_text(text)
    assert RunLock(tmp_path).acquire() is None


def test_a_session_is_named_by_host_process_and_time(tmp_path) -> None:
    holder = RunLock(tmp_path).announce("kedro run")
    assert holder.session == f"{holder.host}:{os.getpid()}:{holder.since}"


def test_half_written_notes_of_a_killed_process_are_swept(tmp_path) -> None:
    for name in ("..run.json.oyhhz1nt.json", ".last_run.json.abcd1234.json"):
        (tmp_path / name).write_text("{")
    kept = (tmp_path / "last_run.json", tmp_path / ".images-files.json")
    for path in kept:
        path.write_text("{}")
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".images-files.json", ".run.lock", "last_run.json"]
