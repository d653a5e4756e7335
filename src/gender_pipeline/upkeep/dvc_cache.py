"""DVC's cache: its objects, and which of them commits, working trees and captures name.

`dvc gc` looks at branches, tags and DVC's own refs only, also with `--all-commits`: it would delete what captured runs
need. An md5 counts as named wherever it stands in a `.dvc` file or in `dvc.lock`.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from gender_pipeline.errors import UpkeepError
from gender_pipeline.reproduction.git import REFS, git
from gender_pipeline.upkeep.disk import is_own, stored_file
from gender_pipeline.upkeep.plan import Stored

POINTERS: Final = ("*.dvc", "*dvc.lock")
LOCK_FILE: Final = "requirements/lock.txt"
_CACHE: Final = Path(".dvc", "cache", "files", "md5")
_FOLDER: Final = re.compile(r"[0-9a-f]{2}")
_OBJECT: Final = re.compile(r"[0-9a-f]{30}(\.dir)?")
_LEFTOVER: Final = re.compile(r"\..+\.tmp")
_MD5: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?:\.dir)?(?![0-9a-f])")
_WORKTREE: Final = "worktree "
_NO_POINTERS: Final = (".git", ".venv", ".dvc/cache")


def objects(project: Path) -> Iterator[Stored]:
    """Yield the objects of the project's own cache and what DVC left beside them, listings of folders first.

    A cache elsewhere may be shared with other projects, and nothing here knows what those need: it is left alone.
    """
    cache = project / _CACHE
    if not is_own(project, cache):
        return
    shelves = [path for path in cache.iterdir() if _FOLDER.fullmatch(path.name) and is_own(cache, path)]
    files = [path for folder in (cache, *shelves) for path in folder.iterdir() if path.is_file()]
    # A kill in between leaves files without a listing, and not a listing without its files.
    for path in sorted(files, key=lambda path: (path.suffix != ".dir", path)):
        if path.is_symlink():
            continue
        if _LEFTOVER.fullmatch(path.name):
            yield stored_file("DVC leftovers", path)
        elif path.parent != cache and _OBJECT.fullmatch(path.name):
            yield stored_file("DVC objects", path, path.parent.name + path.name)


def folder_contents(listings: Iterable[Stored]) -> dict[str, frozenset[str]]:
    """Return what the folders among the objects hold."""
    folders = [stored for stored in listings if stored.path.suffix == ".dir"]
    return {stored.name: _named_in([stored.path.read_bytes()]) for stored in folders}


def needs_of_project(project: Path) -> frozenset[str]:
    """Return the md5s that all commits of branches, tags, stashes and worktrees name, and the worktrees as they are."""
    # With these options every content that a pointer ever had is a change in some commit.
    every = ("--all", "-m", "--root", "--full-history", "--no-renames", "--raw", "--no-abbrev", "--format=")
    changes = git(project, "log", f"--exclude={REFS}/*", *every, "--", *POINTERS).splitlines()
    blobs = {line.split()[3] for line in changes if line.startswith(":")} - {"0" * 40}  # none after a deletion
    listed = git(project, "worktree", "list", "--porcelain").splitlines()
    trees = [Path(line.removeprefix(_WORKTREE)) for line in listed if line.startswith(_WORKTREE)]
    texts = [path.read_bytes() for tree in trees for path in _pointer_files(tree)]
    for tree in filter(Path.is_dir, trees):
        blobs |= {line.split()[1] for line in git(tree, "ls-files", "--stage", "--", *POINTERS).splitlines()}
    return _named_in([*texts, *_read_blobs(project, blobs).values()])


def needs_of_commits(project: Path, commits: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return, by commit, the md5s that its tree names and the digest of the packages that it locks."""
    trees = {commit: _tree(project, commit) for commit in commits}
    pointers = {commit: {blob for path, blob in tree.items() if _is_pointer(path)} for commit, tree in trees.items()}
    locks = {commit: tree.get(LOCK_FILE, "") for commit, tree in trees.items()}
    texts = _read_blobs(project, set(locks.values()).union(*pointers.values()) - {""})
    return {
        commit: _named_in(texts[blob] for blob in pointers[commit]) | _environment(texts.get(locks[commit]))
        for commit in trees
    }


def _environment(lock: bytes | None) -> frozenset[str]:
    """Return what `reproduction.environment` calls an environment with these packages."""
    return frozenset() if lock is None else frozenset({hashlib.sha256(lock).hexdigest()[:16]})


def _tree(project: Path, commit: str) -> dict[str, str]:
    """Return the blobs of a commit by path; git writes unusual paths in quotes."""
    entries = [line.partition("\t") for line in git(project, "ls-tree", "-r", "--full-tree", commit).splitlines()]
    return {path.strip('"'): facts.split()[2] for facts, _, path in entries}


def _is_pointer(path: str) -> bool:
    return path.endswith((".dvc", "dvc.lock"))


def _pointer_files(tree: Path) -> Iterator[Path]:
    """Yield all pointers in a working tree, ignored ones and those of `reproduction.data` included."""
    for parent, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if not f"{parent}/{name}".endswith(_NO_POINTERS)]
        paths = (Path(parent, name) for name in names if _is_pointer(name))
        yield from (path for path in paths if path.is_file())


def _read_blobs(project: Path, blobs: Iterable[str]) -> dict[str, bytes]:
    """Read blobs, as bytes: a pointer may hold anything.

    Raises:
        UpkeepError: One is not there, so that nobody can say what it needs.
    """
    command = ["git", "-C", str(project), "cat-file", "--batch"]
    names = "".join(f"{blob}\n" for blob in sorted(set(blobs))).encode()
    out = subprocess.run(command, input=names, capture_output=True, check=True).stdout  # noqa: S603 own words
    contents, start = {}, 0
    while start < len(out):
        header = out[start : out.index(b"\n", start)]
        if header.endswith(b" missing"):
            raise UpkeepError(f"git lacks an object: {header.decode()}", remedy="git fsck, git fetch --refetch")
        blob, _, size = header.split()
        start += len(header) + 1
        contents[blob.decode()] = out[start : start + int(size)]
        start += int(size) + 1
    return contents


def _named_in(texts: Iterable[bytes]) -> frozenset[str]:
    return frozenset(md5.decode() for text in texts for md5 in _MD5.findall(text))
