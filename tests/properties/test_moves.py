from hypothesis import given
from hypothesis import strategies as st

from gender_pipeline.registration.moves import (
    ALIASES,
    PREVIOUS,
    PRODUCTION,
    STAGING,
    Move,
    fold,
    formers,
    moved_by_hand,
    of_versions,
)

VERSIONS = [str(number) for number in range(1, 5)]


def log_of(steps) -> list[Move]:
    return [
        Move(alias=alias, version=version, by="ada", why="", at_ms=at_ms, move_id=f"{number:03}")
        for number, (alias, version, at_ms) in enumerate(steps)
    ]


steps = st.tuples(st.sampled_from(ALIASES), st.sampled_from(["", *VERSIONS]), st.integers(0, 20))
logs = st.lists(steps, max_size=12).map(log_of)
promotions = st.lists(st.tuples(st.just(PRODUCTION), st.sampled_from(VERSIONS), st.just(0)), min_size=1).map(log_of)
states = st.dictionaries(st.sampled_from(ALIASES), st.sampled_from(VERSIONS))


@given(logs, st.randoms())
def test_the_order_in_which_the_log_is_read_does_not_matter(log, random) -> None:
    assert fold(random.sample(log, len(log))) == fold(log)


@given(promotions)
def test_previous_is_the_last_holder_of_production_that_is_another_version(log) -> None:
    versions = [move.version for move in log]
    others = [version for version in versions if version != versions[-1]]
    expected = {PRODUCTION: versions[-1]} | ({PREVIOUS: others[-1]} if others else {})
    assert fold(log) == expected


@given(promotions)
def test_a_rollback_swaps_production_and_previous_and_a_second_one_swaps_them_back(log) -> None:
    before = fold(log)
    if PREVIOUS not in before:
        return
    once = [*log, Move(alias=PRODUCTION, version=before[PREVIOUS], by="", why="", at_ms=1)]
    assert fold(once) == {PRODUCTION: before[PREVIOUS], PREVIOUS: before[PRODUCTION]}
    assert fold([*once, Move(alias=PRODUCTION, version=before[PRODUCTION], by="", why="", at_ms=2)]) == before


@given(logs)
def test_staging_is_the_last_version_moved_there_whatever_else_moved(log) -> None:
    there = [move for move in sorted(log, key=lambda move: (move.at_ms, move.move_id)) if move.alias == STAGING]
    assert fold(log).get(STAGING, "") == (there[-1].version if there else "")


@given(logs, states)
def test_the_log_can_say_whatever_somebody_did_by_hand(log, actual) -> None:
    by_hand = moved_by_hand(fold(log), actual)
    added = [
        Move(alias=move.alias, version=move.version, by=move.by, why="", at_ms=100 + number)
        for number, move in enumerate(by_hand)
    ]
    after = fold([*log, *added])
    touched = {move.alias for move in by_hand}
    # `previous` follows a production moved by hand, where it was not touched itself.
    for alias in touched | ({STAGING, PRODUCTION} - touched):
        assert after.get(alias) == actual.get(alias)
    assert moved_by_hand(after, after) == []


@given(logs, st.sets(st.sampled_from(VERSIONS)))
def test_deleted_versions_hold_nothing(log, existing) -> None:
    assert set(fold(of_versions(log, existing)).values()) <= existing


@given(logs)
def test_every_move_says_what_it_took_the_alias_from(log) -> None:
    former = formers(log)
    for number, move in enumerate(sorted(log, key=lambda move: (move.at_ms, move.move_id))):
        before = fold(sorted(log, key=lambda move: (move.at_ms, move.move_id))[:number])
        assert former[move.move_id] == before.get(move.alias, "")
