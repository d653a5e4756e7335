"""A recorded run again: its commit in a worktree, its packages, its data, its parameters, and a verdict."""

import hashlib
import math
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pandas as pd
import yaml

from gender_pipeline.errors import ReproductionError, examples
from gender_pipeline.reproduction import mlflow_runs
from gender_pipeline.reproduction.capture import DATA_ROOT, ENVIRONMENT, raw_digest, raw_pointers
from gender_pipeline.reproduction.data import bring_data, pointer_files, use_cache_of
from gender_pipeline.reproduction.environment import environment_variables, python_for
from gender_pipeline.reproduction.git import changed_since, fetch_commit, git, remove_worktree, worktree
from gender_pipeline.reproduction.verdict import RunRecord, passed, same_processor, verdict_table

# Up to what was measured; registration would add a version to the registry.
_OUTPUTS: Final = "metrics,predictions"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What a reproduction gave.

    Attributes:
        recorded: The run to reproduce.
        new: The same run again.
        table: The verdict, see `verdict_table`.
        passed: Whether nothing failed.
        since: What has changed in the project since, in words.
        folder: The worktree where it failed, so that it can be looked at; None where it passed.
    """

    recorded: RunRecord
    new: RunRecord
    table: pd.DataFrame
    passed: bool
    since: list[str]
    folder: Path | None


def reproduce(
    project: Path, recorded: RunRecord, *, environments: Path, tolerance: float, say: Callable[[str], None]
) -> Reproduction:
    """Run a recorded run again, in an experiment of its own, and compare.

    Args:
        project: A clone of the project; it need not have run anything.
        recorded: The run to reproduce.
        environments: Folder of environments made for other lock files.
        tolerance: How far metrics may be off where the processor is of another kind.
        say: Is told each step.

    Raises:
        ReproductionError: The run was not captured, its commit or data cannot be had, or the run itself fails.
    """
    commit = _commit_of(recorded)
    fetch_commit(project, commit, recorded.run_id)
    with worktree(project, commit, project / ".dvc" / "tmp" / "reproductions" / recorded.run_id) as tree:
        say(f"commit       {commit[:10]} in {tree}")
        pointers = _pointers(tree)
        _bring(project, tree, pointers)
        say(f"data         {examples(pointers) or 'none to bring: the run draws its own'}")
        python = python_for(tree, environments)
        say(f"environment  {python}")
        new_id = _run(project, tree, python, recorded)
    new = mlflow_runs.read_run(new_id)
    new = RunRecord(new.run_id, {**new.tags, "raw.digest": raw_digest(pointers)}, new.metrics, new.seconds)
    table = verdict_table(recorded, new, tolerance)
    done = passed(table)
    _note(recorded, new, table)
    if done:
        remove_worktree(project, tree)
    since = [_code_since(project, commit), _raw_since(project, recorded, pointers)]
    return Reproduction(recorded, new, table, done, since, None if done else tree)


def _commit_of(recorded: RunRecord) -> str:
    commit = recorded.tags.get("run.commit", "")
    if recorded.tags.get("reproducible") != "true" or not commit:
        raise ReproductionError(
            f"run {recorded.run_id} cannot be reproduced",
            expected="a run that was captured",
            received=recorded.tags.get("reproducible.why", "a run that registered nothing, or of an older version"),
            remedy="commit the project and run it again",
        )
    return commit


def _pointers(tree: Path) -> dict[str, str]:
    """Return the captured pointers by the path of what they stand for."""
    files = sorted((tree / DATA_ROOT).rglob("*.dvc"))
    return {file.with_suffix("").relative_to(tree).as_posix(): file.read_text("utf-8") for file in files}


def _bring(project: Path, tree: Path, pointers: Mapping[str, str]) -> None:
    if not pointers:
        return
    use_cache_of(project, tree)
    try:
        bring_data(tree, list(pointers))
    except ReproductionError as error:
        raise ReproductionError(
            f"the data of commit {git(tree, 'rev-parse', 'HEAD')[:10]} is neither in DVC's cache nor at its remote",
            received=str(error),
            remedy="in the clone that made the run: dvc push, after `dvc remote add --default`",
        ) from error


def _run(project: Path, tree: Path, python: Path, recorded: RunRecord) -> str:
    run_id, experiment = mlflow_runs.open_run(recorded)
    configuration = {
        "server": {"mlflow_tracking_uri": mlflow_runs.tracking_uri()},
        "tracking": {"run": {"id": run_id}, "experiment": {"name": experiment}},
    }
    (tree / "conf" / ENVIRONMENT / "mlflow.yml").write_text(yaml.safe_dump(configuration), "utf-8")
    command = [str(python), "-m", "kedro", "run", "--env", ENVIRONMENT, "--to-outputs", _OUTPUTS]
    done = subprocess.run(command, cwd=tree, env=environment_variables(tree, python), check=False)  # noqa: S603 own words
    if done.returncode != 0:
        mlflow_runs.close_run(run_id, f"Reproduction of {recorded.run_id} failed.", result="failed")
        raise ReproductionError(
            f"the run of {recorded.run_id} failed when it was run again",
            received=f"exit code {done.returncode}; its last words are above",
            remedy=f"look into {tree.relative_to(project)}",
        )
    return run_id


def _note(recorded: RunRecord, new: RunRecord, table: pd.DataFrame) -> None:
    counts = table["result"].value_counts().to_dict()
    result = "PASS" if passed(table) else "FAIL"
    words = ", ".join(f"{count} {name}" for name, count in counts.items())
    kind = "the same kind of processor" if same_processor(recorded, new) else "another kind of processor"
    note = f"Reproduction of run {recorded.run_id} on {kind}: {result} ({words})."
    mlflow_runs.log_table(new.run_id, table.to_csv(index=False))
    mlflow_runs.close_run(new.run_id, note, result=result)


def _code_since(project: Path, commit: str) -> str:
    return f"code         {_changes(changed_since(project, commit))}"


def _raw_since(project: Path, recorded: RunRecord, pointers: Mapping[str, str]) -> str:
    """Say which raw files are other ones now than they were in the recorded run."""
    root, raw = recorded.tags.get("raw.folder", ""), raw_pointers(pointers)
    if not raw:
        return "raw data     drawn by the run"
    if not root or not (project / root).is_dir():
        return f"raw data     not at {root} on this machine"
    then = {name: md5 for path, text in raw.items() for name, md5 in _below(path, pointer_files(project, text))}
    now = {name: md5 for path in raw for name, md5 in _below(path, _md5_of(project / root / path))}
    changed = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    return f"raw data     {_changes(changed)}"


def _changes(names: list[str]) -> str:
    return f"{len(names)} files changed since: {examples(names)}" if names else "unchanged since"


def _below(path: str, files: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(PurePosixPath(path, name).as_posix(), md5) for name, md5 in files.items()]


def _md5_of(path: Path) -> dict[str, str]:
    """Return md5 by relative path of the files of a folder; of a file under `.`."""
    digests = {}
    for file in sorted(path.rglob("*")) if path.is_dir() else [path] if path.is_file() else []:
        if file.is_file():
            with file.open("rb") as stream:
                md5 = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
            digests[file.relative_to(path).as_posix()] = md5.hexdigest()
    return digests


def times(reproduction: Reproduction) -> str:
    """Return the seconds of both runs in words."""
    then, now = reproduction.recorded.seconds, reproduction.new.seconds
    ratio = "" if math.isnan(then) or then == 0 else f" ({now / then:.2f} x)"
    return f"{now:.0f} s, the recorded run took {then:.0f} s{ratio}"
