"""A store that changed step by step is the store that was written at once, and no kill leaves anything between."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gender_pipeline.images import shards
from gender_pipeline.images.shards import ShardSettings, ShardStore, SourcePhotos, update_shards
from gender_pipeline.schema import Photo

SETTINGS = ShardSettings(shard_mib=1, row_group_mib=1, workers=1)


def encoded(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (33, 33, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


# Photos that are good, cut off, no photos at all, and missing.
CONTENTS = (encoded(0), encoded(1), encoded(2)[:-90], b"no photo", b"")
PHOTOS = st.builds(
    Photo,
    st.sampled_from([f"{number}.png" for number in range(8)]),
    st.sampled_from(CONTENTS),
    subject_id=st.sampled_from("ab"),
    label=st.sampled_from(["female", None]),
    age_years=st.sampled_from([None, 30.1]),
    box=st.sampled_from([None, (0.1, 2.0, 3.0, 4.0)]),
    problem=st.sampled_from([None, None, "drawn"]),
)
STATES = st.lists(PHOTOS, max_size=8, unique_by=lambda photo: photo.name)
HISTORIES = st.lists(STATES, min_size=1, max_size=8)


class KilledError(BaseException):
    """Stands for the end of the process: nothing after it has any effect on the disk."""


def update(folder: Path, state: list[Photo]) -> ShardStore:
    source = SourcePhotos(repr(state), lambda: iter(state))
    return update_shards(folder, {"a": source}, SETTINGS)


def content(store: ShardStore) -> tuple[pd.DataFrame, str, dict[str, bytes]]:
    manifest = store.manifest()
    return manifest, store.digest, dict(store.images(manifest["image_id"][manifest["width_px"] > 0]))


def assert_is(store: ShardStore, state: list[Photo]) -> None:
    with TemporaryDirectory() as folder:
        expected = content(update(Path(folder), state))
    found = content(store)
    pd.testing.assert_frame_equal(found[0], expected[0])
    assert found[1:] == expected[1:]
    named = {shard.file for shard in store.indexes["a"].shards}
    assert {path.name for path in store.folder.glob("a/*.parquet")} == named


@settings(max_examples=30, deadline=None)
@given(history=HISTORIES, merged=st.sampled_from([2, 3, 8]))
def test_any_history_gives_the_manifest_and_the_bytes_of_a_fresh_store(history, merged) -> None:
    with TemporaryDirectory() as folder, mock.patch.object(shards, "_MERGED", merged):
        for state in history:
            assert_is(update(Path(folder), state), state)


@settings(max_examples=10, deadline=None)
@given(before=st.lists(STATES, min_size=1, max_size=3), after=STATES, merged=st.sampled_from([2, 8]))
def test_killed_at_any_write_it_is_in_the_old_state_or_the_new_one_and_goes_on(before, after, merged) -> None:
    n_writes = 0
    killed = True
    while killed:
        with TemporaryDirectory() as folder, mock.patch.object(shards, "_MERGED", merged):
            for state in before:
                store = update(Path(folder), state)
            old = content(store)
            killed = killed_after(n_writes, lambda folder=folder: update(Path(folder), after))
            found = content(ShardStore(Path(folder)))
            assert found[1] in (old[1], content(update(Path(folder), after))[1])
            assert len(found[2]) == found[0]["image_id"][found[0]["width_px"] > 0].nunique()
            assert_is(update(Path(folder), after), after)
        n_writes += 1
    assert n_writes >= 1


def killed_after(n_writes: int, action: Callable[[], object]) -> bool:
    """Do something that is killed at the next write after so many; say whether it came to that."""
    left = n_writes

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KilledError
            return original(*args, **kwargs)

        return write

    writes = {name: counted(getattr(Path, name)) for name in ("rename", "replace", "unlink")}
    with mock.patch.multiple(Path, **writes), mock.patch.object(os, "fsync", counted(os.fsync)):
        try:
            action()
        except KilledError:
            return True
    return False
