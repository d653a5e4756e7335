"""Take stock of what there is, and remove what the plan says."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from gender_pipeline.errors import UpkeepError
from gender_pipeline.reproduction.git import REFS, git, is_repository
from gender_pipeline.scheduling.run_key import read_last_run
from gender_pipeline.scheduling.run_lock import LOCK_FILE
from gender_pipeline.upkeep import disk, dvc_cache, mlflow_artifacts
from gender_pipeline.upkeep.plan import Capture, Inventory, Item

_REF: Final = re.compile(rf"{REFS}/([0-9a-f]{{32}})")


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look.

    Attributes:
        project: The project's folder.
        data_roots: Those of all environments.
        cleaned: Those whose caches are looked at.
        environments: Folder of environments made for other lock files.
        experiments: Names of the project's experiments.
    """

    project: Path
    data_roots: Sequence[Path]
    cleaned: Sequence[Path]
    environments: Path
    experiments: Sequence[str]


def take_stock(places: Places, before_s: float) -> Inventory:
    """Return all that is older than a time and could go, and what speaks against it.

    Without a git repository nobody can say what is needed of captures and of DVC's cache: they are left out.
    """
    project, last = places.project, [read_last_run(root) for root in places.data_roots]
    stock = Inventory(
        stored=list(chain.from_iterable(disk.caches(root) for root in places.cleaned)),
        versions=mlflow_artifacts.versions(),
        artifacts=[it for name in places.experiments for it in mlflow_artifacts.artifacts(name, before_s)],
        current_runs=frozenset(run.run_id for run in last if run is not None),
    )
    if not is_repository(project):
        return stock
    objects = list(dvc_cache.objects(project))
    return replace(
        stock,
        stored=[*disk.worktrees(project), *disk.environments(places.environments), *stock.stored, *objects],
        captures=list(_captures(project)),
        needs=dvc_cache.needs_of_project(project),
        folders=dvc_cache.folder_contents(objects),
    )


def remove(project: Path, items: Sequence[Item]) -> None:
    """Remove items, in their order.

    Killed in between, it has removed the first ones whole, and at most one in part; the next clean goes on there.

    Raises:
        UpkeepError: One cannot be removed; those before it are gone.
    """
    day = datetime.now(UTC).date().isoformat()
    for item in items:
        if item.kind == "model files":
            mlflow_artifacts.remove_model(item.where, day)
        elif item.kind in ("Data Docs", "tables of runs"):
            mlflow_artifacts.remove_artifact(item.where)
        elif item.kind == "captures":
            git(project, "update-ref", "-d", item.where)
        elif item.kind == "worktrees":
            disk.remove_reproduction(project, Path(item.where))
        elif item.kind == "environments":
            disk.remove_environment(Path(item.where))
        else:
            disk.remove_file(Path(item.where))


@contextmanager
def no_runs(data_roots: Sequence[Path]) -> Iterator[None]:
    """Keep runs from beginning in data roots.

    The note on a killed run that a `RunLock` leaves stays for the next run.

    Raises:
        UpkeepError: One is going on.
    """
    with ExitStack() as stack:
        for root in filter(Path.is_dir, data_roots):
            try:
                stack.enter_context(FileLock(root / LOCK_FILE, timeout=0))
            except Timeout as error:
                raise UpkeepError(f"a run is going on in {root}", remedy="wait for its end") from error
        yield


def _captures(project: Path) -> Iterator[Capture]:
    lines = git(project, "for-each-ref", "--format=%(refname) %(objectname)", REFS).splitlines()
    commits = dict(line.split() for line in lines)
    needs = dvc_cache.needs_of_commits(project, commits.values())
    for ref, commit in commits.items():
        run = _REF.fullmatch(ref)
        # A ref that is not called after a run is none of ours: it keeps what it needs.
        ended_s = mlflow_artifacts.run_ended_s(run[1]) if run else float("inf")
        yield Capture(ref, commit, run[1] if run else "", ended_s, needs[commit])
