"""DVC sees the same chapters: the same split and weights as `kedro run`, nothing to do again, and a remote."""

import json
import shutil

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def clone(copy_project, run):
    folder = copy_project("clone")
    # Everything as a clone has it, but the few faces of the smoke environment, and its thresholds.
    base, smoke = folder / "conf" / "base" / "parameters", folder / "conf" / "smoke" / "parameters"
    manifest = (base / "manifest.yml").read_text()
    (base / "manifest.yml").write_text(manifest.replace("n_subjects: 320", "n_subjects: 36"))
    for name in ("validation.yml", "registration.yml"):
        settings = yaml.safe_load((base / name).read_text())
        for block, changes in yaml.safe_load((smoke / name).read_text()).items():
            settings[block] |= changes
        (base / name).write_text(yaml.safe_dump(settings))
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", ".")
    run(folder, "git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", "start")
    run(folder, "dvc", "repro")
    return folder


def outcome(project) -> tuple[str, str]:
    data = project / "data"
    split = pd.read_parquet(data / "splitting" / "split_manifest.parquet", columns=["image_id", "split"])
    weights = json.loads((data / "training" / "model" / "model.json").read_text())["weights_digest"]
    return split.sort_values("image_id").to_csv(index=False), weights


def test_a_second_repro_does_nothing(clone, run) -> None:
    assert "Data and pipelines are up to date" in run(clone, "dvc", "repro").stdout


def test_metrics_and_plots_can_be_shown(clone, run) -> None:
    assert "accuracy" in run(clone, "dvc", "metrics", "show").stdout
    assert run(clone, "dvc", "plots", "show").stdout


def test_kedro_run_gives_the_same_split_and_the_same_weights(clone, run) -> None:
    by_dvc = outcome(clone)
    shutil.rmtree(clone / "data")
    run(clone, "kedro", "run")
    assert outcome(clone) == by_dvc
    assert run(clone, "git", "status", "--porcelain").stdout.strip() == "?? dvc.lock"


def test_what_was_pushed_comes_back(clone, run, tmp_path) -> None:
    run(clone, "dvc", "checkout", "--force")
    before = outcome(clone)
    run(clone, "dvc", "remote", "add", "--local", "--default", "storage", str(tmp_path / "remote"))
    run(clone, "dvc", "push")
    shutil.rmtree(clone / "data")
    shutil.rmtree(clone / ".dvc" / "cache")
    run(clone, "dvc", "pull")
    assert outcome(clone) == before
    assert "Data and pipelines are up to date" in run(clone, "dvc", "repro").stdout
