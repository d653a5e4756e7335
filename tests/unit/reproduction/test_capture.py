import pytest
import yaml

from gender_pipeline.errors import ReproductionError
from gender_pipeline.reproduction.capture import RunInputs, capture_run, raw_digest, raw_pointers, share_capture
from gender_pipeline.reproduction.git import git
from repositories import call

TRAINING = {"name": "quickstart", "weights": "imagenet"}
PARAMETERS = {"recipe": "quickstart", "training": TRAINING, "raw_root": "/somewhere"}


def inputs(**changes) -> RunInputs:
    values = {"raw": {}, "previous_split": None, "parameters": PARAMETERS, "config_globals": {"model_name": "m"}}
    return RunInputs(**values | changes)


def show(project, commit: str, path: str) -> dict:
    return yaml.safe_load(git(project, "show", f"{commit}:{path}"))


def test_a_capture_is_an_environment_with_the_resolved_parameters(project) -> None:
    capture = capture_run(project, "r1", inputs(), title="quickstart (base)")
    assert show(project, capture.commit, "conf/reproduction/parameters.yml") == {
        "recipe": "quickstart",
        "training": TRAINING,
    }
    folders = {"data_root": "data/reproduction", "raw_root": "data/reproduction/raw"}
    assert show(project, capture.commit, "conf/reproduction/globals.yml") == {"model_name": "m", **folders}
    assert (capture.ref, capture.raw_digest) == ("refs/runs/r1", "drawn")


def test_raw_data_split_table_and_weights_are_kept_where_the_run_will_look(project, tmp_path) -> None:
    raw, split, weights = tmp_path / "raw", tmp_path / "split.parquet", tmp_path / "vgg.safetensors"
    raw.mkdir()
    for path in (raw / "a.zip", split, weights):
        path.write_text(path.name)
    parameters = PARAMETERS | {"training": {"name": "x", "weights": str(weights)}}
    capture = capture_run(
        project,
        "r2",
        inputs(raw={"muct": raw, "celeba.zip": raw / "a.zip"}, previous_split=split, parameters=parameters),
        title="x",
    )
    names = git(project, "ls-tree", "-r", "--name-only", capture.commit, "data").splitlines()
    assert names == [
        "data/reproduction/raw/celeba.zip.dvc",
        "data/reproduction/raw/muct.dvc",
        "data/reproduction/splitting/split_manifest.parquet.dvc",
        "data/reproduction/weights/vgg.safetensors.dvc",
    ]
    training = show(project, capture.commit, "conf/reproduction/parameters.yml")["training"]
    assert training["weights"] == "data/reproduction/weights/vgg.safetensors"
    assert set(raw_pointers(capture.pointers)) == {"celeba.zip", "muct"}
    assert capture.raw_digest == raw_digest(capture.pointers)
    assert len(capture.raw_digest) == 64


def test_the_same_inputs_have_the_same_tree(project) -> None:
    commits = [capture_run(project, run, inputs(), title="x").commit for run in ("r1", "r2")]
    assert len({git(project, "rev-parse", f"{commit}^{{tree}}") for commit in commits}) == 1


def test_a_folder_without_git_cannot_be_captured(tmp_path) -> None:
    with pytest.raises(ReproductionError, match="no git repository with a commit; git init, git add"):
        capture_run(tmp_path, "r1", inputs(), title="x")


def test_nothing_is_shared_before_a_dvc_remote_is_named(project, tmp_path) -> None:
    call(tmp_path, "git", "clone", "--quiet", "--bare", str(project), "remote.git")
    git(project, "remote", "add", "origin", str(tmp_path / "remote.git"))
    capture = capture_run(project, "r1", inputs(), title="x")
    assert not share_capture(project, capture)
    call(project, "dvc", "remote", "add", "--quiet", "--default", "storage", str(tmp_path / "storage"))
    assert share_capture(project, capture)
    assert git(tmp_path / "remote.git", "rev-parse", capture.ref) == capture.commit


def test_the_raw_root_itself_may_be_the_data_set(project, tmp_path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.jpg").write_text("a")
    capture = capture_run(project, "r1", inputs(raw={".": tmp_path / "raw"}), title="x")
    assert set(capture.pointers) == {"data/reproduction/raw"}
    assert set(raw_pointers(capture.pointers)) == {"."}


def test_the_digest_of_raw_data_changes_with_any_data_set() -> None:
    pointers = {f"data/reproduction/raw/{name}": f"outs:\n- md5: {name}\n" for name in ("a", "b")}
    other = pointers | {"data/reproduction/raw/b": "outs:\n- md5: c\n"}
    assert raw_digest(pointers) != raw_digest(other)
    assert raw_digest(pointers | {"data/reproduction/weights/x": "outs:\n- md5: x\n"}) == raw_digest(pointers)
    assert raw_digest({}) == "drawn"
