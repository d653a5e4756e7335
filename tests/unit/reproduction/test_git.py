import pytest

from gender_pipeline.errors import ReproductionError
from gender_pipeline.reproduction import git as module
from gender_pipeline.reproduction.git import (
    changed_since,
    commit_tree,
    fetch_commit,
    git,
    is_repository,
    push_ref,
    remove_worktree,
    resolve,
    worktree,
)
from repositories import IDENTITY, call

REF = "refs/runs/abc"


def state(project) -> tuple[str, str, str]:
    return git(project, "status", "--porcelain"), git(project, "rev-parse", "HEAD"), git(project, "branch", "--all")


def test_a_captured_tree_holds_changed_and_new_files_but_not_ignored_ones(project) -> None:
    (project / "src" / "code.py").write_text("ONE = 2\n")
    (project / "src" / "new.py").write_text("NEW = 1\n")
    (project / "data").mkdir()
    (project / "data" / "photo.jpg").write_text("ignored")
    commit = commit_tree(project, {"conf/x.yml": "a: 1\n"}, ref=REF, message="a run")
    names = git(project, "ls-tree", "-r", "--name-only", commit).splitlines()
    assert {"src/code.py", "src/new.py", "conf/x.yml"} <= set(names)
    assert "data/photo.jpg" not in names
    assert git(project, "show", f"{commit}:src/code.py") == "ONE = 2"
    assert git(project, "rev-parse", REF) == commit
    assert git(project, "rev-parse", f"{commit}^") == git(project, "rev-parse", "HEAD")


def test_a_deleted_file_is_not_in_the_captured_tree(project) -> None:
    (project / "src" / "code.py").unlink()
    commit = commit_tree(project, {}, ref=REF, message="a run")
    assert "src/code.py" not in git(project, "ls-tree", "-r", "--name-only", commit)


def test_capturing_leaves_branch_index_and_tree_as_they_were(project) -> None:
    (project / "src" / "code.py").write_text("ONE = 2\n")
    (project / "staged.txt").write_text("x")
    git(project, "add", "staged.txt")
    before = state(project)
    commit_tree(project, {"conf/x.yml": "a: 1\n"}, ref=REF, message="a run")
    assert state(project) == before
    assert not (project / "conf").exists()


def test_capturing_works_for_a_user_without_a_name(project, monkeypatch) -> None:
    for variable in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(project / "nowhere"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    git(project, "config", "user.useConfigOnly", "true")
    commit = commit_tree(project, {}, ref=REF, message="a run")
    assert git(project, "show", "--no-patch", "--format=%cn", commit) == "gender_pipeline"


def test_large_new_files_are_refused_by_name(project, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_UNTRACKED_BYTES", 1000)
    (project / "big.bin").write_bytes(b"x" * 2000)
    with pytest.raises(ReproductionError, match=r"too large to be kept with a run; .*the largest is big.bin; ignore"):
        commit_tree(project, {}, ref=REF, message="a run")


def test_only_the_top_of_a_repository_with_a_commit_counts(project, tmp_path) -> None:
    assert is_repository(project)
    assert not is_repository(project / "src")
    assert not is_repository(tmp_path)
    call(tmp_path, "git", "init", "--quiet", "empty")
    assert not is_repository(tmp_path / "empty")


def test_a_revision_becomes_its_commit_and_anything_else_none(project) -> None:
    head = git(project, "rev-parse", "HEAD")
    assert resolve(project, "main") == resolve(project, head[:8]) == head
    assert resolve(project, "@production") is None
    assert resolve(project, "--help") is None


def test_a_pushed_run_comes_to_a_clone_that_never_saw_it(project, tmp_path) -> None:
    call(tmp_path, "git", "clone", "--quiet", "--bare", str(project), "remote.git")
    git(project, "remote", "add", "origin", str(tmp_path / "remote.git"))
    call(tmp_path, "git", "clone", "--quiet", str(tmp_path / "remote.git"), "clone")
    commit = commit_tree(project, {"conf/x.yml": "a: 1\n"}, ref=REF, message="a run")
    with pytest.raises(ReproductionError, match=r"is not in this repository; .*remotes origin; .*git push <rem"):
        fetch_commit(tmp_path / "clone", commit, "abc")
    assert push_ref(project, REF) == "origin"
    fetch_commit(tmp_path / "clone", commit, "abc")
    assert resolve(tmp_path / "clone", commit) == commit


def test_nothing_is_pushed_without_a_remote(project) -> None:
    commit_tree(project, {}, ref=REF, message="a run")
    assert push_ref(project, REF) == ""


def test_a_worktree_replaces_what_a_killed_process_left(project, tmp_path) -> None:
    folder = tmp_path / "tree"
    with worktree(project, "HEAD", folder) as tree:
        (tree / "left.txt").write_text("x")
    with worktree(project, "HEAD", folder) as tree:
        assert not (tree / "left.txt").exists()
        assert (tree / "src" / "code.py").is_file()
    remove_worktree(project, folder)
    assert git(project, "worktree", "list").count("\n") == 0


def test_code_that_changed_since_a_commit_is_named(project) -> None:
    head = git(project, "rev-parse", "HEAD")
    assert changed_since(project, head) == []
    (project / "src" / "code.py").write_text("ONE = 3\n")
    git(project, *IDENTITY, "commit", "--quiet", "--all", "--message", "three")
    assert changed_since(project, head) == ["src/code.py"]


def test_what_git_says_is_the_error(project) -> None:
    with pytest.raises(ReproductionError, match=r"`git rev-parse nothing` failed; received fatal: "):
        git(project, "rev-parse", "nothing")
