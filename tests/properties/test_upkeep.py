"""What upkeep never does, for inventories of any shape."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gender_pipeline.upkeep.plan import Artifact, Capture, Inode, Inventory, Stored, Version, plan

BEFORE = 50.0
NAMES = st.sampled_from("abcde")
TIMES = st.sampled_from([10.0, 90.0, float("inf")])
SETS = st.frozensets(NAMES, max_size=3)
VERSIONS = st.builds(
    Version, st.just("m"), number=NAMES, run_id=NAMES, source=NAMES, commit=NAMES, made_s=TIMES, held=st.booleans()
)
ARTIFACTS = st.builds(
    lambda kind, run, source, made: Artifact(kind, f"{kind}/{run}/{source}", run, source, made, 1),
    st.sampled_from(["model files", "Data Docs", "tables of runs"]),
    NAMES,
    NAMES,
    TIMES,
)
CAPTURES = st.builds(
    lambda name, time, needs: Capture(f"refs/runs/{name}", name, name, time, needs), NAMES, TIMES, SETS
)
STORED = st.lists(
    st.tuples(NAMES, TIMES, st.lists(st.integers(0, 4), unique=True, max_size=3)),
    max_size=6,
    unique_by=lambda it: it[0],
)


@st.composite
def inventories(draw) -> Inventory:
    found = draw(STORED)
    more = draw(st.lists(st.integers(0, 1), min_size=5, max_size=5))  # names outside of what is looked at
    links = [sum(number in inodes for *_, inodes in found) + more[number] for number in range(5)]
    stored = [
        Stored(
            "DVC objects",
            Path(name),
            used,
            tuple(Inode((0, number), links[number], 2**number) for number in inodes),
            name,
        )
        for name, used, inodes in found
    ]
    return Inventory(
        stored=stored,
        captures=draw(st.lists(CAPTURES, max_size=4, unique_by=lambda capture: capture.ref)),
        versions=draw(st.lists(VERSIONS, max_size=4)),
        artifacts=draw(st.lists(ARTIFACTS, max_size=6, unique_by=lambda artifact: artifact.uri)),
        needs=draw(SETS),
        current_runs=draw(SETS),
        folders=draw(st.dictionaries(NAMES, SETS, max_size=2)),
    )


@given(inventories())
def test_an_alias_keeps_its_model_and_all_of_its_run(inventory) -> None:
    gone = {item.where for item in plan(inventory, BEFORE)}
    held = [version for version in inventory.versions if version.held]
    for artifact in inventory.artifacts:
        if artifact.run_id in {it.run_id for it in held} or artifact.source in {it.source for it in held}:
            assert artifact.uri not in gone


@given(inventories())
def test_every_version_keeps_its_capture_and_all_data_that_names(inventory) -> None:
    gone = {item.where for item in plan(inventory, BEFORE)}
    for capture in inventory.captures:
        if any(capture.run_id == it.run_id or capture.commit == it.commit for it in inventory.versions):
            inner = {md5 for name in capture.needs for md5 in inventory.folders.get(name, ())}
            assert not ({capture.ref} | capture.needs | inner) & gone


@given(inventories())
def test_nothing_recent_goes(inventory) -> None:
    gone = {item.where for item in plan(inventory, BEFORE)}
    recent = {str(it.path) for it in inventory.stored if it.used_s >= BEFORE}
    recent |= {it.uri for it in inventory.artifacts if it.made_s >= BEFORE}
    recent |= {it.ref for it in inventory.captures if it.run_ended_s >= BEFORE}
    assert not recent & gone


@given(inventories())
def test_the_bytes_are_those_of_contents_that_lose_their_last_name(inventory) -> None:
    items = plan(inventory, BEFORE)
    gone = {item.where for item in items}
    lost = [inode for it in inventory.stored if str(it.path) in gone for inode in it.inodes]
    freed = {inode for inode in lost if lost.count(inode) == inode.n_links}
    assert sum(item.n_bytes for item in items if item.kind == "DVC objects") == sum(inode.n_bytes for inode in freed)


@given(inventories())
def test_what_is_left_has_nothing_more_to_go(inventory) -> None:
    gone = {item.where for item in plan(inventory, BEFORE)}
    rest = Inventory(
        stored=[it for it in inventory.stored if str(it.path) not in gone],
        captures=[it for it in inventory.captures if it.ref not in gone],
        versions=inventory.versions,
        artifacts=[it for it in inventory.artifacts if it.uri not in gone],
        needs=inventory.needs,
        current_runs=inventory.current_runs,
        folders=inventory.folders,
    )
    assert plan(rest, BEFORE) == []
