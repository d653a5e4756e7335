"""What a run came from, as one git commit under `refs/runs`: the tree, pointers to the data, the resolved parameters.

With git and DVC alone such a commit can be run again: check it out, `dvc checkout`, `kedro run --env reproduction`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from gender_pipeline.errors import ReproductionError
from gender_pipeline.files import text_digest
from gender_pipeline.reproduction.data import default_remote, keep_data, pointer_digest, push_data
from gender_pipeline.reproduction.git import REFS, commit_tree, is_repository, push_ref

ENVIRONMENT: Final = "reproduction"  # of Kedro's configuration, in captured commits only
DATA_ROOT: Final = f"data/{ENVIRONMENT}"
RAW: Final = f"{DATA_ROOT}/raw"
_DRAWN: Final = "drawn"  # raw data that the run itself makes from its parameters


@dataclass(frozen=True, slots=True)
class RunInputs:
    """Where a run takes what is not in its tree.

    Attributes:
        raw: Folders and archives of the data sets, by their path below the raw root; empty where the run draws them.
        previous_split: The split table that pins subjects, or None where there is none.
        parameters: All resolved parameters, as plain values.
        config_globals: Resolved globals of the configuration.
    """

    raw: Mapping[str, Path]
    previous_split: Path | None
    parameters: Mapping[str, Any]
    config_globals: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Capture:
    """A captured run.

    Attributes:
        commit: 40 hex digits.
        ref: Its ref.
        raw_digest: Digest of the raw data, see `raw_digest`.
        pointers: Pointers to data by path in the tree.
    """

    commit: str
    ref: str
    raw_digest: str
    pointers: Mapping[str, str]


def capture_run(project: Path, run_id: str, inputs: RunInputs, *, title: str) -> Capture:
    """Keep all that a run comes from.

    Args:
        project: A git and DVC repository.
        run_id: The ref is called after it.
        inputs: What is not in the tree.
        title: What the run is, for the commit's message.

    Raises:
        ReproductionError: The project is no git repository with a commit, or git or DVC fails.
    """
    if not is_repository(project):
        raise ReproductionError(
            "the project is no git repository with a commit", remedy="git init, git add --all, git commit"
        )
    kept = {PurePosixPath(RAW, name).as_posix(): path for name, path in inputs.raw.items()}
    if inputs.previous_split is not None:
        kept[f"{DATA_ROOT}/splitting/split_manifest.parquet"] = inputs.previous_split
    inputs, weights = _with_weights_inside(project, inputs)
    pointers = keep_data(project, capture_folder(project), kept | weights) if kept | weights else {}
    files = {f"{path}.dvc": pointer for path, pointer in pointers.items()} | _configuration(inputs)
    ref = f"{REFS}/{run_id}"
    message = f"Run {run_id}: {title}\n\nTree, data and parameters of a run; `gender-pipeline reproduce {run_id}`."
    commit = commit_tree(project, files, ref=ref, message=message)
    return Capture(commit, ref, raw_digest(pointers), pointers)


def raw_pointers(pointers: Mapping[str, str]) -> dict[str, str]:
    """Return the pointers to raw data, by the path below the raw root."""
    raw = {PurePosixPath(path): text for path, text in pointers.items()}
    return {path.relative_to(RAW).as_posix(): text for path, text in raw.items() if path.is_relative_to(RAW)}


def raw_digest(pointers: Mapping[str, str]) -> str:
    """Return the sha256 over path and md5 of all raw data that pointers name; `drawn` where they name none."""
    raw = {path: pointer_digest(text) for path, text in raw_pointers(pointers).items()}
    return text_digest(json.dumps(raw, sort_keys=True)) if raw else _DRAWN


def share_capture(project: Path, capture: Capture) -> bool:
    """Push a capture's data to the default DVC remote and its commit to the git remote.

    A project without a default DVC remote shares nothing: its tree may not be meant for others.

    Returns:
        Whether it was shared.

    Raises:
        ReproductionError: git or DVC fails.
    """
    if default_remote(project) is None:
        return False
    if capture.pointers:
        push_data(capture_folder(project), list(capture.pointers))
    return bool(push_ref(project, capture.ref))


def capture_folder(project: Path) -> Path:
    """Return where the helper repository of `keep_data` lives; neither git nor DVC looks there."""
    return project / ".dvc" / "tmp" / "captures"


def _with_weights_inside(project: Path, inputs: RunInputs) -> tuple[RunInputs, dict[str, Path]]:
    """Where the recipe names a file of weights, let the captured parameters name its place in the tree."""
    training = inputs.parameters.get("training", {})
    weights = project / str(training.get("weights", ""))
    if not weights.is_file():
        return inputs, {}
    path = f"{DATA_ROOT}/weights/{weights.name}"
    parameters = {**inputs.parameters, "training": {**training, "weights": path}}
    return replace(inputs, parameters=parameters), {path: weights}


def _configuration(inputs: RunInputs) -> dict[str, str]:
    folders = {"data_root": DATA_ROOT, "raw_root": RAW}
    own = {key: value for key, value in inputs.parameters.items() if key not in folders}
    return {
        f"conf/{ENVIRONMENT}/globals.yml": yaml.safe_dump({**inputs.config_globals, **folders}),
        f"conf/{ENVIRONMENT}/parameters.yml": yaml.safe_dump(own, sort_keys=False),
    }
