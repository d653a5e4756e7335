"""The log of moves, and who holds what by it: none -> staging -> production; the former production is `previous`.

The log is the truth and the registry's aliases follow it, so that moves at the same time cannot lose one another.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final, TypeAlias

STAGING: Final = "staging"
PRODUCTION: Final = "production"
PREVIOUS: Final = "previous"
ALIASES: Final = (STAGING, PRODUCTION, PREVIOUS)

Holders: TypeAlias = dict[str, str]  # alias -> version; an alias that nobody holds is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One entry of the log.

    Attributes:
        alias: One of `ALIASES`.
        version: Who holds it from now on; empty where nobody does.
        by: Who moved it.
        why: The reason given.
        at_ms: When, in milliseconds since 1970; no two moves that know of each other have the same.
        pending: Whether the aliases may not have followed yet.
        move_id: Id in the log; it puts moves of the same millisecond in an order that is the same for everyone.
    """

    alias: str
    version: str
    by: str
    why: str
    at_ms: int = 0
    pending: bool = True
    move_id: str = ""


def fold(moves: Iterable[Move]) -> Holders:
    """Return who holds what after all moves, whatever order they are given in."""
    return reduce(_after, in_order(moves), {})


def in_order(moves: Iterable[Move]) -> list[Move]:
    """Return moves as they count, the oldest first."""
    return sorted(moves, key=lambda move: (move.at_ms, move.move_id))


def formers(moves: Iterable[Move]) -> dict[str, str]:
    """Return, by move id, the version that held the move's alias before; empty where none did."""
    holders: Holders = {}
    former = {}
    for move in in_order(moves):
        former[move.move_id] = holders.get(move.alias, "")
        holders = _after(holders, move)
    return former


def of_versions(moves: Iterable[Move], versions: Collection[str]) -> list[Move]:
    """Return the moves that count: those of versions that exist, and those which took an alias away."""
    return [move for move in moves if not move.version or move.version in versions]


def moved_by_hand(expected: Mapping[str, str], actual: Mapping[str, str]) -> list[Move]:
    """Return the moves that make the log say what the registry says, where somebody moved aliases past it."""
    return [
        Move(alias=alias, version=actual.get(alias, ""), by="MLflow", why="moved without gender-pipeline")
        for alias in ALIASES
        if expected.get(alias) != actual.get(alias)
    ]


def _after(holders: Holders, move: Move) -> Holders:
    changed = holders | {move.alias: move.version}
    former = holders.get(PRODUCTION, "")
    if move.alias == PRODUCTION and move.version and former != move.version:
        # Without a former holder `previous` stays, so that a rollback stays possible, unless it comes back itself.
        kept = holders.get(PREVIOUS, "")
        changed[PREVIOUS] = former or (kept if kept != move.version else "")
    return {alias: version for alias, version in changed.items() if version}
