"""The story as a user lives it: `kedro run` to a model in production, the same again, and with things going wrong."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from repositories import IDENTITY


def query(project: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(project / "mlruns" / "mlflow.db")) as database:
        return database.execute(sql).fetchall()


def aliases(project: Path) -> dict[str, str]:
    return {
        alias: str(version) for alias, version in query(project, "select alias, version from registered_model_aliases")
    }


def tags_of_last_run(project: Path) -> dict[str, str]:
    # Moves of aliases are runs too, in another experiment.
    last = "select run_uuid from runs where experiment_id = 1 order by start_time desc limit 1"
    return dict(query(project, f"select key, value from tags where run_uuid = ({last})"))  # noqa: S608 own words


@pytest.fixture(scope="module")
def story(copy_project, run) -> tuple[Path, str]:
    """Run the smoke environment once, in a git repository with a commit; give the project and what was printed."""
    folder = copy_project("story")
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", "--all")
    run(folder, "git", *IDENTITY, "commit", "--quiet", "--message", "start")
    return folder, run(folder, "kedro", "run", "--env", "smoke").stdout


def test_the_first_run_puts_a_model_into_production(story) -> None:
    project, _ = story
    assert aliases(project) == {"production": "1", "staging": "1"}
    assert query(project, "select name from registered_models") == [("gender-classifier",)]
    tags = dict(query(project, "select key, value from model_version_tags"))
    assert (tags["gate"], tags["reproducible"], len(tags["run.commit"])) == ("passed", "true", 40)


def test_every_move_of_an_alias_is_in_the_log(story, run) -> None:
    project, _ = story
    header, *moves = run(project, "gender-pipeline", "moves").stdout.splitlines()
    assert header.split() == ["when", "alias", "version", "from", "by", "why", "state"]
    assert [move.split()[1:4] for move in moves] == [["staging", "1", "none"], ["production", "1", "none"]]
    assert all("passed the gate in run" in move and move.endswith("done") for move in moves)
    done = run(project, "gender-pipeline", "rollback", ok=False)
    assert (done.returncode, "has no version to go back to" in done.stderr) == (1, True)


def test_the_summary_says_what_went_in_what_came_out_and_where_to_look(story) -> None:
    project, summary = story
    for part in ("celeba", "muct", "age_gender", "Quarantined", "Test accuracy", "95 % interval", "Seconds", "make ui"):
        assert part in summary
    assert "no subject in two splits" in summary
    assert "gender-classifier version 1, alias production, staging" in summary
    assert "Not promoted" not in summary
    assert (project / "data/smoke/evaluation/report.html").is_file()
    assert (project / "data/smoke/validation/great_expectations/data_docs/index.html").is_file()


def test_metrics_are_named_by_split_and_source(story) -> None:
    names = {name for (name,) in query(story[0], "select key from latest_metrics")}
    measured = {"test.accuracy", "test.accuracy_low", "test.celeba.f1", "validation.roc_auc"}
    assert {"training/val_loss", "seconds/training", *(f"evaluation/{name}" for name in measured)} <= names
    assert any(name.startswith("system/") for name in names)


def test_a_run_carries_where_it_comes_from(story) -> None:
    tags = tags_of_last_run(story[0])
    assert len(tags["git.commit"]) == 40
    assert (tags["reproducible"], len(tags["run.commit"])) == ("true", 40)
    for name in ("lock.digest", "data.digest", "weights.digest"):
        assert len(tags[name]) == 64
    assert tags["version.tensorflow"].startswith("2.")
    assert (
        int(query(story[0], "select count(*) from inputs where destination_type = 'RUN'")[0][0]) >= 6
    )  # source x split


def test_artifacts_lie_inside_the_project(story) -> None:
    project, _ = story
    (uri,) = query(project, "select artifact_uri from runs where experiment_id = 1")[0]
    folder = Path(uri.removeprefix("file://"))
    assert folder.is_relative_to(project / "mlruns" / "artifacts")
    for name in ("parameters.yml", "evaluation/report.html", "splitting/split_audit.csv", "validation/quarantine.csv"):
        assert (folder / name).is_file()
    assert list((folder / "evaluation" / "pictures").glob("*.png"))


def test_no_subject_is_in_two_splits_and_every_photo_is_accounted_for(story) -> None:
    data = story[0] / "data" / "smoke"
    split = pd.read_parquet(data / "splitting" / "split_manifest.parquet")
    used = split[split["split"] != "excluded"]
    assert used.groupby(["source", "subject_id"])["split"].nunique().max() == 1
    manifest = pd.read_parquet(data / "manifest" / "manifest.parquet")
    quarantine = pd.read_csv(data / "validation" / "quarantine.csv")
    assert len(manifest) == len(split) + len(quarantine)
    assert len(quarantine) > 0
    predictions = pd.read_parquet(data / "evaluation" / "predictions.parquet")
    assert len(predictions) == len(split)


def test_the_same_again_reads_nothing_anew_and_adds_no_version(story, run) -> None:
    project, _ = story
    shards = {path: path.stat().st_mtime_ns for path in (project / "data/smoke/images").rglob("*.parquet")}
    before = json.loads((project / "data/smoke/training/model/model.json").read_text())
    run(project, "kedro", "run", "--env", "smoke", "--params", "force=true")
    assert {path: path.stat().st_mtime_ns for path in (project / "data/smoke/images").rglob("*.parquet")} == shards
    after = json.loads((project / "data/smoke/training/model/model.json").read_text())
    assert after["weights_digest"] == before["weights_digest"]
    assert query(project, "select count(*) from model_versions") == [(1,)]


def test_a_broken_threshold_stops_the_run_after_the_report_and_leaves_production(story, run) -> None:
    project, _ = story
    held = aliases(project)
    report = project / "data/smoke/validation/report.json"
    before = report.stat().st_mtime_ns
    done = run(project, "kedro", "run", "--env", "smoke", "--params", "validation.min_photos=100000", ok=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("Error: ")
    assert report.stat().st_mtime_ns > before
    assert aliases(project) == held
    statuses = query(project, "select status from runs where experiment_id = 1 order by start_time")
    assert statuses[-1] == ("FAILED",)
    assert "DataValidationError" in tags_of_last_run(project)["failure"]


def test_a_candidate_below_the_minimum_stays_unpromoted_with_the_reason(story, run) -> None:
    project, _ = story
    # The metric's name holds a dot, which --params would split; a file of an environment does not.
    override = project / "conf" / "strict" / "parameters"
    override.mkdir(parents=True)
    (project / "conf/strict/globals.yml").write_text((project / "conf/smoke/globals.yml").read_text())
    for name in ("manifest.yml", "validation.yml"):
        (override / name).write_text((project / "conf/smoke/parameters" / name).read_text())
    (override / "registration.yml").write_text("registration:\n  minimum:\n    test.accuracy: 1.01\n")
    done = run(project, "kedro", "run", "--env", "strict", "--params", "training.seed=1")
    assert "Not promoted  test.accuracy: expected at least 1.01" in done.stdout
    assert aliases(project) == {"production": "1", "staging": "1"}
    tags = dict(query(project, "select key, value from model_version_tags where version = 2"))
    assert tags["gate"] == "failed"
    assert tags["gate.reason.1"].startswith("test.accuracy: expected at least 1.01")


def test_a_raw_root_that_does_not_exist_is_one_line(story, run) -> None:
    done = run(story[0], "kedro", "run", "--env", "real", "--params", "raw_root=nowhere", ok=False)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
