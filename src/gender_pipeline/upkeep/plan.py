"""What may go: pure rules over an inventory, so that they can be read and tested without a disk or a server.

What a version with an alias or a reproducible version needs stays, and so does everything that was used recently.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "model files", "Data Docs", "tables of runs", "captures", "worktrees", "environments", "features", "checkpoints",
    "DVC leftovers", "DVC objects",
]  # fmt: skip

# What is large among the artifacts of a run, by path. Tables by photo stay as long as the run has a version.
OF_RUNS: Final[Mapping[str, Kind]] = {
    "validation/data_docs.html": "Data Docs",
    "validation/great_expectations": "Data Docs",  # of runs before they became one page
    "evaluation/predictions.parquet": "tables of runs",
    "splitting/split_manifest.parquet": "tables of runs",
}


@dataclass(frozen=True, slots=True)
class Item:
    """Something that may go.

    Attributes:
        kind: What it is.
        where: A path, a git ref, or the URI of an MLflow artifact.
        n_bytes: What the disk or the server gets back.
        why: Why it may go.
    """

    kind: Kind
    where: str
    n_bytes: int
    why: str


@dataclass(frozen=True, slots=True)
class Inode:
    """A file's content on a disk; several names may link to it, and it goes with the last of them.

    Attributes:
        key: Device and number.
        n_links: How many names it has.
        n_bytes: Its size.
    """

    key: tuple[int, int]
    n_links: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A file or folder on the disk.

    Attributes:
        kind: What it is.
        path: Where it is.
        used_s: When it was used last, in seconds since 1970.
        inodes: Its content.
        name: What those who need it call it: the md5 of an object, the digest of an environment's lock file.
    """

    kind: Kind
    path: Path
    used_s: float
    inodes: tuple[Inode, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """A commit that a run can be rebuilt from, with what it needs of DVC's cache and of the environments.

    Attributes:
        ref: Its ref.
        commit: 40 hex digits.
        run_id: Its MLflow run.
        run_ended_s: When that ended; infinite while it is open, and where the server does not know the run.
        needs: md5s and digests of lock files.
    """

    ref: str
    commit: str
    run_id: str
    run_ended_s: float
    needs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version.

    Attributes:
        name: Of the model.
        number: Of the version.
        run_id: The run that registered it.
        source: URI of its files.
        commit: What it can be rebuilt from; empty where it cannot.
        made_s: When it was registered.
        held: Whether it holds an alias, or a move that gives it one is under way.
    """

    name: str
    number: str
    run_id: str
    source: str
    commit: str
    made_s: float
    held: bool


@dataclass(frozen=True, slots=True)
class Artifact:
    """Files of a run or a model on the server.

    Attributes:
        kind: What they are.
        uri: Where they are.
        run_id: The run that made them.
        source: `models:/<id>` of a model, as versions name it; empty for others.
        made_s: When the run ended or the model was made; infinite while the run is open.
        n_bytes: Their size.
    """

    kind: Kind
    uri: str
    run_id: str
    source: str
    made_s: float
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that could go, and what speaks against it.

    Attributes:
        stored: Files and folders.
        captures: Captured runs.
        versions: All versions of all models.
        artifacts: Of the project's experiments.
        needs: What branches, tags and working trees need of DVC's cache and of the environments.
        current_runs: The last whole runs here; what they wrote is what the next run is compared with.
        folders: md5s of the files by the md5 of a folder in DVC's cache.
    """

    stored: Collection[Stored] = ()
    captures: Collection[Capture] = ()
    versions: Collection[Version] = ()
    artifacts: Collection[Artifact] = ()
    needs: frozenset[str] = frozenset()
    current_runs: frozenset[str] = frozenset()
    folders: Mapping[str, frozenset[str]] = field(default_factory=dict)


def plan(inventory: Inventory, before_s: float) -> list[Item]:
    """Return what may go, in the order in which it has to: what names something goes before what it names.

    Args:
        inventory: What there is.
        before_s: What was made or used since stays, in seconds since 1970.
    """
    captures = [capture for capture in inventory.captures if _superfluous(capture, inventory, before_s)]
    kept = [capture.needs for capture in inventory.captures if capture not in captures]
    needed = _with_contents(inventory.needs.union(*kept), inventory.folders)
    stored = [item for item in inventory.stored if item.used_s < before_s and item.name not in needed]
    return [
        *_artifacts(inventory, before_s),
        *(Item("captures", capture.ref, 0, "no version comes from this run") for capture in captures),
        *_on_disk(stored),
    ]


def totals(items: Iterable[Item]) -> dict[str, tuple[int, int]]:
    """Return how many items and bytes there are of each kind, in the order of the kinds' first items."""
    counts: dict[str, tuple[int, int]] = {}
    for item in items:
        n_items, n_bytes = counts.get(item.kind, (0, 0))
        counts[item.kind] = (n_items + 1, n_bytes + item.n_bytes)
    return counts


def _superfluous(capture: Capture, inventory: Inventory, before_s: float) -> bool:
    of_version = any(capture.run_id == it.run_id or capture.commit == it.commit for it in inventory.versions)
    return not of_version and capture.run_id not in inventory.current_runs and capture.run_ended_s < before_s


def _with_contents(names: frozenset[str], folders: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Add what the folders among the names hold."""
    return names.union(*(folders.get(name, frozenset()) for name in names))


_WHY: Final[Mapping[Kind, str]] = {
    "model files": "no version that holds an alias has them",
    "Data Docs": "no version of this run holds an alias",
    "tables of runs": "no version comes from this run",
    "worktrees": "kept after a reproduction that failed",
    "environments": "no capture locks these packages",
    "features": "not used since; computed again when needed",
    "checkpoints": "of a training that nobody went on with",
    "DVC leftovers": "copies that DVC did not finish or forgot",
    "DVC objects": "no commit names them",
}


def _artifacts(inventory: Inventory, before_s: float) -> Iterator[Item]:
    held = [version for version in inventory.versions if version.held]
    held_runs = {version.run_id for version in held} | inventory.current_runs
    # A version younger than its model's files, registered by hand, say, keeps them.
    young = {version.source for version in inventory.versions if version.made_s >= before_s}
    kept_models = {version.source for version in held} | young
    registered = {version.run_id for version in inventory.versions}
    for it in inventory.artifacts:
        needed = it.run_id in held_runs or it.source in kept_models
        if needed or it.made_s >= before_s or (it.kind == "tables of runs" and it.run_id in registered):
            continue
        yield Item(it.kind, it.uri, it.n_bytes, _WHY[it.kind])


def _on_disk(stored: Collection[Stored]) -> Iterator[Item]:
    """Count each content once, where its last name goes, and not at all where one stays."""
    left = Counter(inode.key for item in stored for inode in item.inodes)
    stays = {inode.key for item in stored for inode in item.inodes if inode.n_links > left[inode.key]}
    for item in stored:
        n_bytes = 0
        for inode in item.inodes:
            left[inode.key] -= 1
            n_bytes += inode.n_bytes if left[inode.key] == 0 and inode.key not in stays else 0
        yield Item(item.kind, str(item.path), n_bytes, _WHY[item.kind])
