"""The log of moves in MLflow, one run a move in the experiment `<model> moves`, and the aliases that follow it.

A move's run is RUNNING until the aliases say what the log says, so that what was interrupted is seen and completed.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gender_pipeline.errors import RegistrationError
from gender_pipeline.registration.moves import (
    ALIASES,
    PREVIOUS,
    PRODUCTION,
    STAGING,
    Holders,
    Move,
    fold,
    formers,
    in_order,
    moved_by_hand,
    of_versions,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILES_REMOVED: Final = "files.removed"  # tag of a version whose files a clean-up has freed
PAUSE_S: Final = 1.0  # before aliases which differ from the log are believed: a move under way ends in less
# Whoever makes a move ends its run; this long after, whoever made it is dead.
GRACE_MS: Final = 10 * 60 * 1000
_ATTEMPTS: Final = 50
_PAGE: Final = 1000
_NONE: Final = "none"


def settle(model_name: str) -> Holders:
    """Return who holds what, after completing interrupted moves and recording those made past the log.

    Aliases that somebody set in the MLflow UI, or before there was a log, come into the log as moves by `MLflow`.
    """
    client, seen = _client(), None
    while True:
        log, model = read_log(client, model_name), _model(client, model_name)
        if model is None:
            return {}
        if _ids(read_log(client, model_name)) != _ids(log):
            continue  # a move came in between, and the aliases may be older or newer than the log
        if any(move.pending for move in log):
            return _follow(client, model_name)
        actual = _held(model)
        by_hand = moved_by_hand(fold(of_versions(log, _versions(client, model_name))), actual)
        if not by_hand:
            return actual
        if by_hand == seen:
            # Right behind what is known: a promotion that started meanwhile comes after it.
            at_ms = log[-1].at_ms + 1 if log else int(model.creation_timestamp)
            return _append(client, model_name, by_hand, at_ms)
        seen = by_hand
        time.sleep(PAUSE_S)


def promote(model_name: str, version: str, alias: str, *, by: str, why: str) -> bool:
    """Let a version take `staging` or `production`; return False where it held it already.

    Raises:
        RegistrationError: The version failed its gate, cannot be rebuilt, or skips staging.
    """
    client, holders = _client(), settle(model_name)
    if holders.get(alias) == version:
        return False
    _check_promotable(model_name, version, client.get_model_version(model_name, version).tags)
    if alias == PRODUCTION and version not in (holders.get(STAGING), holders.get(PREVIOUS)):
        raise RegistrationError(
            f"{model_name} version {version} cannot go to '{PRODUCTION}' at once",
            expected=f"the holder of '{STAGING}' or '{PREVIOUS}'",
            received=f"holders {_text(holders)}",
            remedy=f"gender-pipeline promote {version} --to {STAGING}, then to {PRODUCTION}",
        )
    make_moves(model_name, [Move(alias=alias, version=version, by=by, why=why)])
    return True


def rollback(model_name: str, *, by: str, why: str) -> tuple[str, str]:
    """Give `production` back to the holder of `previous`; return the version it was taken from, and who has it now.

    Raises:
        RegistrationError: Nobody holds `previous`.
    """
    holders = settle(model_name)
    if PREVIOUS not in holders:
        raise RegistrationError(
            f"{model_name} has no version to go back to",
            expected=f"a holder of '{PREVIOUS}'",
            received=f"holders {_text(holders)}",
            remedy=f"gender-pipeline promote VERSION --to {STAGING}, then to {PRODUCTION}",
        )
    if gone := _without_files(_client().get_model_version(model_name, holders[PREVIOUS]).tags):
        raise RegistrationError(f"{model_name} cannot go back to version {holders[PREVIOUS]}: {gone[0]}")
    make_moves(model_name, [Move(alias=PRODUCTION, version=holders[PREVIOUS], by=by, why=why)])
    return holders.get(PRODUCTION, ""), holders[PREVIOUS]


def advance(model_name: str, version: str, *, champion: str, to_production: bool, by: str, why: str) -> list[str]:
    """Let a version that passed its gate take `staging`, and `production` where it may.

    A move is never made twice: an alias that was taken from the version since, by a rollback or a better one, comes
    back to it by `promote` only.

    Args:
        model_name: Name in the registry.
        version: Its number.
        champion: The version it was compared with; it takes `production` from no other.
        to_production: Whether it moves on from `staging` by itself.
        by: Who moves it.
        why: The reason.

    Returns:
        Why it did not take an alias, a line each.
    """
    holders = settle(model_name)
    had = {move.alias for move in read_log(_client(), model_name) if move.version == version}
    moves, hindrances = [], []
    for alias in (STAGING, PRODUCTION) if to_production else (STAGING,):
        if holders.get(alias) == version:
            continue
        if alias in had:
            hindrances.append(f"{alias}: version {version} had it before; gender-pipeline promote brings it back")
        elif alias == PRODUCTION and holders.get(alias, champion) != champion:
            hindrances.append(f"{alias}: version {holders[alias]} took it while this candidate was made")
        else:
            moves.append(Move(alias=alias, version=version, by=by, why=why))
    if moves:
        make_moves(model_name, moves)
    return hindrances


def make_moves(model_name: str, moves: Sequence[Move]) -> Holders:
    """Append moves to the log and let the aliases follow; return who holds what then."""
    client = _client()
    log = read_log(client, model_name)
    newest = log[-1].at_ms if log else 0
    return _append(client, model_name, moves, max(time.time_ns() // 1_000_000, newest + 1))


def list_moves(model_name: str) -> list[dict[str, str]]:
    """Return the log, the oldest move first: when, alias, version, from, by, why, and whether it is still under way.

    Raises:
        RegistrationError: The log is empty.
    """
    settle(model_name)
    log = read_log(_client(), model_name)
    if not log:
        raise RegistrationError(
            f"no move of a model named '{model_name}' is recorded", remedy="run the pipeline first: kedro run"
        )
    former = formers(log)
    return [
        {
            "when": _time(move.at_ms),
            "alias": move.alias,
            "version": move.version or _NONE,
            "from": former[move.move_id] or _NONE,
            "by": move.by,
            "why": move.why,
            "state": "under way" if move.pending else "done",
        }
        for move in log
    ]


def read_log(client: "MlflowClient", model_name: str) -> list[Move]:
    """Return all moves in order, also those whose run somebody has deleted in the UI."""
    from mlflow.entities import ViewType

    experiment = client.get_experiment_by_name(_experiment_name(model_name))
    moves: dict[str, Move] = {}
    token = None
    while experiment is not None:
        page = client.search_runs(
            [experiment.experiment_id],
            run_view_type=ViewType.ALL,
            max_results=_PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        moves |= {run.info.run_id: _move(run) for run in page if run.data.tags.get("alias") in ALIASES}
        token = page.token
        if not token:
            break
    return in_order(moves.values())


def _append(client: "MlflowClient", model_name: str, moves: Sequence[Move], at_ms: int) -> Holders:
    experiment_id = _experiment(client, model_name)
    made = [
        _log_move(client, experiment_id, model_name, replace(move, at_ms=at_ms + n)) for n, move in enumerate(moves)
    ]
    return _follow(client, model_name, made)


def _log_move(client: "MlflowClient", experiment_id: str, model_name: str, move: Move) -> str:
    version = move.version or _NONE
    tags = {"model": model_name, "alias": move.alias, "version": version, "by": move.by, "why": move.why[:1000]}
    name = f"{move.alias}: version {version}"
    run = client.create_run(experiment_id, start_time=move.at_ms, tags=tags, run_name=name)
    return str(run.info.run_id)


def _follow(client: "MlflowClient", model_name: str, made: Sequence[str] = ()) -> Holders:
    """Set the aliases to what the log says, until no move came in between; then end the moves made here."""
    from mlflow.exceptions import MlflowException

    problem = None
    for attempt in range(_ATTEMPTS):
        log = read_log(client, model_name)
        holders = fold(of_versions(log, _versions(client, model_name)))
        try:
            _set_aliases(client, model_name, holders)
        except MlflowException as error:
            # Somebody sets the same alias, or deletes the version: look again.
            problem = error
            time.sleep(0.02 * attempt)
            continue
        if _ids(read_log(client, model_name)) == _ids(log):
            _end(client, model_name, log=log, made=made)
            return holders
    raise RegistrationError(
        f"the aliases of {model_name} cannot be set",
        received=str(problem or "new moves all the time"),
        remedy="the move is in the log: the next command completes it",
    ) from problem


def _set_aliases(client: "MlflowClient", model_name: str, holders: Holders) -> None:
    actual = _held(client.get_registered_model(model_name))
    for alias in ALIASES:
        if alias in holders and holders[alias] != actual.get(alias):
            client.set_registered_model_alias(model_name, alias, holders[alias])
        elif alias in actual and alias not in holders:
            client.delete_registered_model_alias(model_name, alias)


def _end(client: "MlflowClient", model_name: str, *, log: Sequence[Move], made: Sequence[str]) -> None:
    """Note moves that the aliases have followed on their versions, and end their runs."""
    from mlflow.exceptions import MlflowException

    former, dead_ms = formers(log), time.time_ns() // 1_000_000 - GRACE_MS
    for move in log:
        if move.move_id not in made and not (move.pending and move.at_ms < dead_ms):
            continue
        came_from = former[move.move_id] or _NONE
        client.set_tag(move.move_id, "from", came_from)
        if move.version:
            text = f"{_time(move.at_ms)} by {move.by}, from {came_from}: {move.why}"
            with suppress(MlflowException):  # the version was deleted since
                client.set_model_version_tag(model_name, move.version, f"moved.{move.alias}", text)
        client.set_terminated(move.move_id)


def _without_files(tags: Mapping[str, str]) -> list[str]:
    """Return why a version that was cleaned up cannot hold an alias; `gender-pipeline reproduce` can rebuild it."""
    return [f"its model files were removed on {tags[FILES_REMOVED]}"] if FILES_REMOVED in tags else []


def _check_promotable(model_name: str, version: str, tags: Mapping[str, str]) -> None:
    failed = [f"gate {tags.get('gate', 'never met')}"] if tags.get("gate") != "passed" else []
    failed += [value for name, value in sorted(tags.items()) if name.startswith("gate.reason.")]
    failed += _without_files(tags)
    if tags.get("reproducible") != "true":
        failed.append(f"not reproducible: {tags.get('reproducible.why', 'no commit it could be rebuilt from')}")
    if failed:
        raise RegistrationError(
            f"{model_name} version {version} cannot be promoted",
            expected="a version that passed its gate and can be rebuilt from a commit",
            received="; ".join(failed),
            remedy="kedro run makes a new version",
        )


def _move(run: Any) -> Move:
    tags = run.data.tags
    version = tags.get("version", _NONE)
    return Move(
        alias=tags["alias"],
        version="" if version == _NONE else version,
        by=tags.get("by", ""),
        why=tags.get("why", ""),
        at_ms=int(run.info.start_time),
        pending=run.info.status == "RUNNING" and run.info.lifecycle_stage == "active",
        move_id=str(run.info.run_id),
    )


def _experiment_name(model_name: str) -> str:
    return f"{model_name} moves"


def _experiment(client: "MlflowClient", model_name: str) -> str:
    """Return the id of the log's experiment, which is made, or brought back from the trash, where it is missing."""
    from mlflow.exceptions import MlflowException

    name = _experiment_name(model_name)
    try:
        return str(client.create_experiment(name))
    except MlflowException:
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def _model(client: "MlflowClient", model_name: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(model_name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


# MLflow's SQL store gives version numbers as int, its REST store as str: compare them as str.
def _held(model: Any) -> Holders:
    return {alias: str(version) for alias, version in model.aliases.items() if alias in ALIASES}


def _versions(client: "MlflowClient", model_name: str) -> set[str]:
    return {str(version.version) for version in client.search_model_versions(f"name='{model_name}'")}


def _ids(log: Sequence[Move]) -> list[str]:
    return [move.move_id for move in log]


def _text(holders: Holders) -> str:
    return ", ".join(f"{alias}: {version}" for alias, version in holders.items()) or "none"


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def _client() -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient()
