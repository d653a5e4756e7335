import shutil
import subprocess

import pytest

from gender_pipeline.evaluation import EvaluationSettings
from gender_pipeline.hooks.provenance import commit_url, git_state, parameters_digest, provenance


def git(folder, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_a_clean_tree_has_a_commit(repository) -> None:
    state = git_state(repository)
    assert len(state["git.commit"]) == 40
    assert state["git.dirty"] == "false"
    assert state["mlflow.source.git.commit"] == state["git.commit"]


@pytest.mark.parametrize("name", ["a", "new"])
def test_a_changed_or_a_new_file_makes_the_tree_dirty(repository, name) -> None:
    (repository / name).write_text("2")
    assert git_state(repository)["git.dirty"] == "true"


def test_a_folder_without_git_is_unknown(tmp_path) -> None:
    assert git_state(tmp_path) == {"git.commit": "unknown", "git.dirty": "unknown"}


def test_a_copy_inside_another_repository_is_unknown(repository) -> None:
    (repository / "copy").mkdir()
    assert git_state(repository / "copy")["git.commit"] == "unknown"


def test_a_machine_without_git_is_unknown(repository, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert shutil.which("git") is None
    assert git_state(repository)["git.commit"] == "unknown"


def test_provenance_names_lock_versions_and_hardware(tmp_path) -> None:
    tags = provenance(tmp_path)
    assert tags["lock.digest"] == "unknown"
    assert tags["version.keras"].startswith("3.")
    assert int(tags["hardware.cores"]) >= 1
    assert all(isinstance(value, str) and value for value in tags.values())


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/owner/name.git",
        "https://ada:s3cret@github.com/owner/name",
        "http://github.com/owner/name/",
        "git@github.com:owner/name.git",
        "ssh://git@github.com:22/owner/name.git",
    ],
)
def test_a_commit_has_a_page_at_its_remote_without_credentials(remote) -> None:
    assert commit_url(remote, "abc") == "https://github.com/owner/name/commit/abc"


@pytest.mark.parametrize(
    "remote", ["", "/srv/git/name.git", "../name", "file:///srv/name", "https://x/a b", "ext::sh -c"]
)
def test_a_remote_without_pages_has_no_link(remote) -> None:
    assert commit_url(remote, "abc") == ""


def test_a_server_of_ones_own_keeps_its_port() -> None:
    assert commit_url("https://git.example.org:8443/g/n.git", "abc") == "https://git.example.org:8443/g/n/commit/abc"


def test_the_link_to_the_commit_comes_from_origin(repository) -> None:
    assert "git.url" not in git_state(repository)
    git(repository, "remote", "add", "origin", "https://ada:s3cret@example.org/owner/name.git")
    state = git_state(repository)
    assert state["git.url"] == f"https://example.org/owner/name/commit/{state['git.commit']}"


def test_equal_parameters_have_equal_digests_typed_or_plain_in_any_order() -> None:
    typed = EvaluationSettings()
    one = parameters_digest({"evaluation": typed, "classes": ["a", "b"]})
    assert parameters_digest({"classes": ["a", "b"], "evaluation": typed.model_dump(mode="json")}) == one
    assert parameters_digest({"classes": ["b", "a"], "evaluation": typed}) != one
