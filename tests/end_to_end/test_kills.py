"""Killed at any moment of any chapter, the next run continues or redoes cleanly: many SIGKILLs, one after the other.

Each round has data and a seed of its own, so that every chapter has something to do. It is killed again and again, and
then runs through. The same rounds without a kill, in another clone, say what must come out.
"""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from killing import END, START

CHAPTERS = (START, "manifest", "validation", "splitting", "training", "evaluation", "registration", END)
N_KILLS = int(os.environ.get("N_KILLS", "104"))
SEED = int(os.environ.get("KILL_SEED", "0"))
AIMED_AT = tuple(filter(None, os.environ.get("KILL_CHAPTERS", "").split(","))) or CHAPTERS
KILLS_A_ROUND = 8
AT_ANY_TIME = 4  # each fourth kill comes after some seconds, wherever that may be
ENVIRONMENT = os.environ | {"DO_NOT_TRACK": "true", "DVC_NO_ANALYTICS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


class Runner:
    """A project whose runs are children of one warm process."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.project, self.log, self.report = project, folder / f"{project.name}.log", folder / f"{project.name}.json"
        path = os.pathsep.join([str(project / "src"), str(Path(__file__).parents[1])])
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[1] / "killing.py")],
            cwd=project, env=ENVIRONMENT | {"PYTHONPATH": path, "PATH": binaries},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._answer()

    def __call__(self, number: int, **request: Any) -> dict[str, Any]:
        """Run a round; `chapter` and `event`, or `seconds`, say when to kill it."""
        self.report.unlink(missing_ok=True)
        wanted = {"event": 10**9, "params": f"sample.seed={number},training.seed={number},force=true"} | request
        line = json.dumps(wanted | {"log": str(self.log), "report": str(self.report)})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = json.loads(self._answer())
        found: dict[str, Any] = {}
        with suppress(FileNotFoundError, json.JSONDecodeError):  # killed before it left word, or while it did
            found = json.loads(self.report.read_text())
        return {"chapter": "", "counts": {}, "what": "any time", **found, **answer}

    def _answer(self) -> str:
        line = self.process.stdout.readline()
        assert line, "the warm process ended"
        return line


def query(project: Path, sql: str, *values: object) -> list[tuple]:
    path = project / "mlruns" / "mlflow.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as database:
        tables = database.execute("select name from sqlite_master where name = 'registered_model_aliases'").fetchall()
        # It may have been killed while the database was made.
        return database.execute(sql, values).fetchall() if tables else []


def outcome(project: Path) -> tuple[str, str, str]:
    data = project / "data" / "smoke"
    weights = json.loads((data / "training" / "model" / "model.json").read_text())["weights_digest"]
    split = pd.read_parquet(data / "splitting" / "split_manifest.parquet").sort_values(["source", "name"])
    predictions = pd.read_parquet(data / "evaluation" / "predictions.parquet").sort_values("image_id")
    return weights, split[["image_id", "label", "split"]].to_csv(index=False), predictions.to_csv(index=False)


def check_files(data: Path) -> None:
    """No half shard, no half table."""
    for index in data.glob("images/*/index.json"):
        for shard in json.loads(index.read_text())["shards"]:
            path = index.parent / shard["file"]
            assert sha256(path.read_bytes()).hexdigest() == shard["sha256"], f"half a shard: {path}"
    for path in data.rglob("*"):
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(data).parts):
            continue
        if path.suffix == ".parquet" and "images" not in path.parts:
            pq.read_table(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())


def check_registry(project: Path, held_before: set[str]) -> set[str]:
    """No half version, no lost alias; return the aliases held."""
    versions = dict(query(project, "select version, run_id from model_versions"))
    holders = dict(query(project, "select alias, version from registered_model_aliases"))
    assert held_before <= set(holders), f"lost: {held_before - set(holders)}"
    for version in versions:
        tags = dict(query(project, "select key, value from model_version_tags where version = ?", version))
        assert {"weights.digest", "data.digest", "gate", "run.commit", "reproducible"} <= set(tags), f"half: {tags}"
        command = ["git", "cat-file", "-e", f"{tags['run.commit']}^{{commit}}"]
        assert subprocess.run(command, cwd=project, check=False).returncode == 0, "a version without its commit"
        if version in map(int, holders.values()):
            assert (tags["gate"], tags["reproducible"]) == ("passed", "true")
    for (location,) in query(project, "select storage_location from model_versions"):
        model = Path(location.removeprefix("file://"))
        assert (model / "MLmodel").is_file()
        assert (model / "artifacts" / "model" / "model.json").is_file()
    assert set(map(int, holders.values())) <= set(versions)
    return set(holders)


def check_clean(project: Path) -> None:
    """After a whole run nothing of the killed ones is left."""
    data = project / "data" / "smoke"
    hidden = [path for path in data.rglob(".*") if path.name not in (".run.lock", ".images-files.json")]
    hidden = [path for path in hidden if "great_expectations" not in path.parts]
    assert not hidden, f"left behind: {hidden[:5]}"
    running = query(
        project,
        "select run_uuid from runs join experiments using (experiment_id) "
        "where status = 'RUNNING' and experiments.name not like '% moves'",
    )
    assert not running, f"{len(running)} runs are still RUNNING"
    locks = list((project / ".git").rglob("*.lock"))
    assert not locks, f"git is locked: {locks}"


@pytest.fixture
def clones(copy_project, run, tmp_path_factory) -> tuple[Path, Path]:
    """Give two equal clones; the first is killed, the second is not."""
    killed = copy_project("killed")
    if not (killed / ".git").exists():
        for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "start")):
            run(killed, "git", "-c", "user.name=test", "-c", "user.email=test@example.org", *command)
    calm = tmp_path_factory.mktemp("calm") / "calm"
    shutil.copytree(killed, calm, symlinks=True)
    return killed, calm


@pytest.fixture
def runners(clones, tmp_path) -> Iterator[tuple[Runner, Runner]]:
    """Give what runs the clone that is killed, and the calm one."""
    both = tuple(Runner(clone, tmp_path) for clone in clones)
    yield both
    for runner in both:
        runner.process.kill()


@pytest.mark.parametrize("n_kills", [3, pytest.param(N_KILLS, marks=pytest.mark.long)])
def test_no_kill_breaks_anything(clones, runners, n_kills) -> None:
    draw = random.Random(SEED)  # noqa: S311 no secret
    killed, calm = runners
    usual = dict.fromkeys(CHAPTERS, 10)
    kills: Counter[str] = Counter()
    resumed, held, number, whole_s = 0, set[str](), 1000 * SEED, 60.0
    while sum(kills.values()) < n_kills:
        number += 1
        reference = calm(number)
        assert reference["status"] == 0, calm.log.read_text()[-3000:]
        usual |= reference["counts"]
        for n in range(min(KILLS_A_ROUND, n_kills - sum(kills.values()))):
            chapter = AIMED_AT[(n + number) % len(AIMED_AT)]
            # A run that goes on from an earlier one changes less: as many kills early in a chapter as late in it.
            when = {"chapter": chapter, "event": round(usual[chapter] ** draw.random())}
            if n % AT_ANY_TIME == AT_ANY_TIME - 1:
                when = {"seconds": draw.uniform(0.0, whole_s)}
            done = killed(number, **when)
            if done["signal"] == 0:  # nothing was left to do in that chapter: the run came to its end
                assert done["status"] == 0, killed.log.read_text()[-3000:]
                continue
            kills[done["chapter"] or "any time"] += 1
            where = f"round {number}, {done['chapter'] or 'any time'}, {done['what'][-80:]}"
            print(f"kill {sum(kills.values())}: {where}", flush=True)
            check_files(clones[0] / "data" / "smoke")
            held = check_registry(clones[0], held)
        done = killed(number)
        assert done["status"] == 0, killed.log.read_text()[-3000:]
        whole_s = reference["seconds"]
        check_files(clones[0] / "data" / "smoke")
        held = check_registry(clones[0], held)
        check_clean(clones[0])
        assert outcome(clones[0]) == outcome(clones[1]), f"round {number} came out otherwise than without kills"
        (n_versions,) = query(clones[0], "select count(*) from model_versions")[0]
        assert n_versions == query(clones[1], "select count(*) from model_versions")[0][0]
        resumed = killed.log.read_text(errors="replace").count("the training goes on after epoch")
    print(f"{sum(kills.values())} kills, {number % 1000} rounds, {resumed} trainings resumed: {dict(kills)}")
    assert set(kills) >= set(AIMED_AT) - {START, END} or n_kills < 50
    assert resumed > 0 or n_kills < 50
