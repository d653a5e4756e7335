"""What reproduction needs of git: the tree as it is as a commit outside the branches, and worktrees of commits."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gender_pipeline.errors import ReproductionError

REFS: Final = "refs/runs"  # one ref a run: not a branch, so no `git log` shows it, and no `git gc` deletes it
MAX_UNTRACKED_BYTES: Final = 100 * 2**20  # what is not tracked goes into git's objects: code, not data
_NOBODY: Final = {"NAME": "gender_pipeline", "EMAIL": "gender_pipeline@localhost"}


def git(project: Path, *arguments: str, stdin: str | None = None, extra: Mapping[str, str] | None = None) -> str:
    """Run git and return what it prints, stripped.

    Raises:
        ReproductionError: git is not there, or fails; the message holds git's reason.
    """
    command = ["git", "-C", str(project), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 own words
            command, input=stdin, capture_output=True, check=True, text=True, env=os.environ | dict(extra or {})
        )
    except FileNotFoundError as error:
        raise ReproductionError("git is not installed", remedy="install git") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [""]
        reason = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[-1])
        raise ReproductionError(f"`git {' '.join(arguments[:2])}` failed", received=reason) from error
    return done.stdout.strip()


def is_repository(project: Path) -> bool:
    """Tell whether the project itself is a git repository with a commit, and not a folder inside of another one."""
    try:
        top = git(project, "rev-parse", "--show-toplevel")
        git(project, "rev-parse", "--verify", "HEAD")
    except ReproductionError:
        return False
    return Path(top).resolve() == project.resolve()


def resolve(project: Path, revision: str) -> str | None:
    """Return the commit, 40 hex digits, that a revision names here, or None."""
    try:
        return git(project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except ReproductionError:
        return None


def commit_tree(project: Path, files: Mapping[str, str], *, ref: str, message: str) -> str:
    """Commit the tree as it is (changed and new files included, ignored ones not) with further files, under a ref.

    Branches, index and working tree stay as they are.

    Args:
        project: A repository with a commit, which becomes the parent.
        files: Content of further files by their path in the tree.
        ref: Full name of the ref.
        message: Of the commit.

    Returns:
        The commit, 40 hex digits.

    Raises:
        ReproductionError: New files are too large to be code, or git fails.
    """
    _check_untracked(project)
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(scratch) / "index"
        # A copy keeps what git knows of unchanged files: only changed ones are read.
        own_index = project / git(project, "rev-parse", "--git-path", "index")
        if own_index.exists():
            shutil.copy2(own_index, index)
        extra = {"GIT_INDEX_FILE": str(index)}
        git(project, "add", "--all", extra=extra)
        for path, content in files.items():
            blob = git(project, "hash-object", "-w", "--stdin", stdin=content)
            git(project, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", extra=extra)
        tree = git(project, "write-tree", extra=extra)
    commit = git(project, "commit-tree", tree, "-p", "HEAD", "-m", message, extra=_identity(project))
    git(project, "update-ref", ref, commit)
    return commit


def fetch_commit(project: Path, commit: str, run_id: str) -> None:
    """Make sure that a commit is there: where it is not, ask every remote for the run's ref and its branches.

    Raises:
        ReproductionError: No remote has it.
    """
    remotes = git(project, "remote").split()
    for remote in [None, *remotes]:
        if remote is not None:
            _fetch(project, remote, run_id)
        if _has(project, commit):
            return
    raise ReproductionError(
        f"commit {commit[:10]} of run {run_id} is not in this repository",
        expected="the commit here or at a remote",
        received=f"remotes {', '.join(remotes) or 'none'}",
        remedy=f"in the clone that made the run: git push <remote> {REFS}/{run_id}",
    )


@contextmanager
def worktree(project: Path, commit: str, folder: Path) -> Iterator[Path]:
    """Give a worktree of a commit; it is removed at the end unless an error is under way.

    A worktree that a killed process left in the folder is replaced.
    """
    remove_worktree(project, folder)
    git(project, "worktree", "add", "--quiet", "--detach", str(folder), commit)
    yield folder


def remove_worktree(project: Path, folder: Path) -> None:
    """Remove a worktree with all that is in it, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)
    git(project, "worktree", "prune")


def push_ref(project: Path, ref: str) -> str:
    """Push a ref to `origin`, or to the only remote; return the remote's name, empty where there is none."""
    remotes = git(project, "remote").split()
    remote = "origin" if "origin" in remotes else remotes[0] if len(remotes) == 1 else ""
    if remote:
        git(project, "push", "--quiet", remote, f"{ref}:{ref}")
    return remote


def changed_since(project: Path, commit: str) -> list[str]:
    """Return the files in which code, configuration or requirements differ now from those of a commit."""
    parts = ("src", "conf", "requirements", ":(exclude)conf/reproduction")
    return git(project, "diff", "--name-only", commit, "--", *parts).splitlines()


def _check_untracked(project: Path) -> None:
    names = git(project, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    sizes = {name: (project / name).stat().st_size for name in names if name and (project / name).is_file()}
    if sum(sizes.values()) > MAX_UNTRACKED_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise ReproductionError(
            "files that git neither tracks nor ignores are too large to be kept with a run",
            expected=f"at most {MAX_UNTRACKED_BYTES >> 20} MiB",
            received=f"{sum(sizes.values()) >> 20} MiB, the largest is {largest}",
            remedy="ignore them, or add them to DVC",
        )


def _identity(project: Path) -> dict[str, str]:
    """Return a name for commits where git has none (a server's user, a container)."""
    try:
        git(project, "var", "GIT_COMMITTER_IDENT")
    except ReproductionError:
        return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _NOBODY.items()}
    return {}


def _has(project: Path, commit: str) -> bool:
    try:
        git(project, "cat-file", "-e", f"{commit}^{{commit}}")
    except ReproductionError:
        return False
    return True


def _fetch(project: Path, remote: str, run_id: str) -> None:
    # The run's own ref may be missing while its commit is on a branch, and a remote may be away: ask for each alone.
    for refspec in (f"+{REFS}/{run_id}:{REFS}/{run_id}", f"+refs/heads/*:refs/remotes/{remote}/*"):
        try:
            git(project, "fetch", "--quiet", remote, refspec)
        except ReproductionError:
            continue
