"""The rules, without a disk or a server."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from gender_pipeline.upkeep.plan import Artifact, Capture, Inode, Inventory, Stored, Version, plan, totals

BEFORE = 1000.0
OLD, NEW = 1.0, 2000.0
MD5, OTHER = "a" * 32, "b" * 32


def version(**changes) -> Version:
    values = {
        **{"name": "m", "number": "1", "run_id": "run", "source": "models:/m-1", "commit": "c" * 40},
        **{"made_s": OLD, "held": False},
    }
    return Version(**values | changes)


def artifact(kind, made_s=OLD) -> Artifact:
    return Artifact(kind, f"file:///{kind}", "run", "models:/m-1" if kind == "model files" else "", made_s, 10)


def capture(**changes) -> Capture:
    values = {
        "ref": "refs/runs/run",
        "commit": "c" * 40,
        "run_id": "run",
        "run_ended_s": OLD,
        "needs": frozenset({MD5}),
    }
    return Capture(**values | changes)


def stored(name="", used_s=OLD, kind="DVC objects", inode=1, links=1) -> Stored:
    return Stored(kind, Path("/x", name or str(inode)), used_s, (Inode((0, inode), links, 100),), name)


ALL = [artifact(kind) for kind in ("model files", "Data Docs", "tables of runs")]


def kinds(inventory: Inventory) -> list[str]:
    return [item.kind for item in plan(inventory, BEFORE)]


def test_of_a_run_without_a_version_the_large_artifacts_go() -> None:
    assert kinds(Inventory(artifacts=ALL)) == ["model files", "Data Docs", "tables of runs"]


def test_of_a_version_without_an_alias_model_files_and_data_docs_go() -> None:
    assert kinds(Inventory(artifacts=ALL, versions=[version()])) == ["model files", "Data Docs"]


def test_of_a_version_with_an_alias_nothing_goes() -> None:
    assert kinds(Inventory(artifacts=ALL, versions=[version(held=True), version(number="2")])) == []


def test_files_that_another_version_holds_an_alias_with_stay() -> None:
    shared = [version(), version(number="2", run_id="other", held=True)]
    assert "model files" not in kinds(Inventory(artifacts=ALL, versions=shared))


def test_model_files_that_were_registered_recently_stay() -> None:
    assert "model files" not in kinds(Inventory(artifacts=ALL, versions=[version(made_s=NEW)]))


@pytest.mark.parametrize("made_s", [NEW, math.inf])
def test_artifacts_of_recent_and_open_runs_stay(made_s) -> None:
    assert kinds(Inventory(artifacts=[replace(it, made_s=made_s) for it in ALL])) == []


def test_the_last_run_here_keeps_its_artifacts_and_its_capture() -> None:
    inventory = Inventory(artifacts=ALL, captures=[capture()], current_runs=frozenset({"run"}))
    assert kinds(inventory) == []


def test_a_capture_goes_with_its_data_where_no_version_comes_from_it() -> None:
    inventory = Inventory(captures=[capture()], stored=[stored(MD5)])
    assert kinds(inventory) == ["captures", "DVC objects"]


@pytest.mark.parametrize("one", [version(run_id="other"), version(commit="")])
def test_a_capture_that_a_version_names_by_run_or_commit_stays_with_its_data(one) -> None:
    assert kinds(Inventory(captures=[capture()], stored=[stored(MD5)], versions=[one])) == []


@pytest.mark.parametrize("ended_s", [NEW, math.inf])
def test_a_capture_of_a_recent_an_open_or_an_unknown_run_stays(ended_s) -> None:
    assert kinds(Inventory(captures=[capture(run_ended_s=ended_s)], stored=[stored(MD5)])) == []


def test_data_that_a_second_capture_or_the_project_needs_stays() -> None:
    kept = capture(ref="refs/runs/other", run_id="other", run_ended_s=NEW)
    assert kinds(Inventory(captures=[capture(), kept], stored=[stored(MD5)])) == ["captures"]
    assert kinds(Inventory(captures=[capture()], stored=[stored(MD5)], needs=frozenset({MD5}))) == ["captures"]


def test_a_folder_that_is_needed_keeps_its_files() -> None:
    folder = f"{OTHER}.dir"
    inventory = Inventory(
        stored=[stored(folder), stored(MD5, inode=2)],
        needs=frozenset({folder}),
        folders={folder: frozenset({MD5})},
    )
    assert kinds(inventory) == []
    assert kinds(replace(inventory, needs=frozenset())) == ["DVC objects", "DVC objects"]


def test_what_was_used_recently_stays() -> None:
    assert kinds(Inventory(stored=[stored(kind="features", used_s=NEW), stored(kind="features", inode=2)])) == [
        "features"
    ]


def test_a_content_with_several_names_counts_once_and_only_where_all_of_them_go() -> None:
    linked = [stored(kind="worktrees", links=2), stored(MD5, links=2)]
    assert [item.n_bytes for item in plan(Inventory(stored=linked), BEFORE)] == [0, 100]
    assert [item.n_bytes for item in plan(Inventory(stored=linked[:1]), BEFORE)] == [0]


def test_totals_are_by_kind() -> None:
    items = plan(Inventory(artifacts=ALL, stored=[stored(), stored(inode=2)]), BEFORE)
    assert totals(items)["DVC objects"] == (2, 200)
    assert totals(items)["Data Docs"] == (1, 10)
