import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gender_pipeline.errors import ImageError, SourceError
from gender_pipeline.images.shards import ShardSettings, ShardStore, SourcePhotos, update_shards
from gender_pipeline.schema import Photo

SETTINGS = ShardSettings(shard_mib=1, row_group_mib=1)

# Replaces the store's source by three shards and is killed by itself at the n-th write to the folder.
KILLED = """
import os, signal, sys
from pathlib import Path
from gender_pipeline import files
from gender_pipeline.images.shards import ShardSettings, SourcePhotos, update_shards
from gender_pipeline.schema import Photo

left = int(sys.argv[2])

def count(original):
    def counted(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)
    return counted

os.fsync, Path.rename, Path.replace, Path.unlink = map(count, (os.fsync, Path.rename, Path.replace, Path.unlink))
photos = [Photo(f"new{i}", bytes([i]) * 300_000, subject_id="s", label="male", problem="drawn") for i in range(10)]
source = SourcePhotos("new", lambda: iter(photos))
update_shards(Path(sys.argv[1]), {"a": source}, ShardSettings(shard_mib=1, row_group_mib=1))
"""


@pytest.fixture
def store(tmp_path, photos) -> ShardStore:
    return update_shards(tmp_path / "store", {"a": SourcePhotos("old", lambda: photos(5))}, SETTINGS)


def parquet_files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("a/*.parquet")}


@pytest.mark.parametrize("error", [SourceError("the archive is cut off"), KeyboardInterrupt()])
def test_a_source_that_fails_halfway_leaves_the_old_state_and_no_litter(store, error) -> None:
    def failing() -> Iterator[Photo]:
        for i in range(20):
            yield Photo(str(i), bytes([i]) * 300_000, subject_id="s", label="male", problem="drawn")
        raise error

    before = {path.name: path.read_bytes() for path in store.folder.glob("a/*")}
    with pytest.raises(type(error)):
        update_shards(store.folder, {"a": SourcePhotos("new", failing)}, SETTINGS)
    assert {path.name: path.read_bytes() for path in store.folder.glob("a/*")} == before


def test_a_source_that_fails_the_first_time_does_not_exist(tmp_path, photos) -> None:
    def failing() -> Iterator[Photo]:
        yield from photos(2)
        raise SourceError("the archive is cut off")

    with pytest.raises(SourceError, match="cut off"):
        update_shards(tmp_path, {"a": SourcePhotos("new", failing)}, SETTINGS)
    assert ShardStore(tmp_path).manifest().empty


def test_a_failure_while_the_index_is_damaged_is_the_one_reported(store) -> None:
    def failing() -> Iterator[Photo]:
        raise SourceError("the archive is cut off")
        yield

    (store.folder / "a" / "index.json").write_text("{")
    with pytest.raises(SourceError, match="cut off"):
        update_shards(store.folder, {"a": SourcePhotos("new", failing)}, SETTINGS)


def test_a_failure_of_the_disk_leaves_the_old_state(store, photos, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        update_shards(store.folder, {"a": SourcePhotos("new", lambda: photos(2, 30))}, SETTINGS)
    assert len(ShardStore(store.folder).manifest()) == 5


def test_a_handle_keeps_to_its_state_and_says_when_that_is_gone(store, photos) -> None:
    update_shards(store.folder, {"a": SourcePhotos("new", lambda: photos(2, 30))}, SETTINGS)
    with pytest.raises(ImageError, match="is missing or damaged"):
        store.manifest()


@pytest.mark.parametrize("n_writes", [0, 1, 3, 6, 7, 8, 9])
def test_a_killed_update_leaves_the_old_or_the_new_state_and_the_next_one_clears_up(store, photos, n_writes) -> None:
    command = [sys.executable, "-c", KILLED, str(store.folder), str(n_writes)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    left = ShardStore(store.folder)
    names = left.manifest().name.tolist()
    assert names in ([f"{i:03d}.jpg" for i in range(5)], [f"new{i}" for i in range(10)])
    assert len(list(left.images(left.manifest().image_id))) == len(names)
    after = update_shards(store.folder, {"a": SourcePhotos("next", lambda: photos(4, 40))}, SETTINGS)
    assert parquet_files(store.folder) == {shard.file for shard in after.indexes["a"].shards}
    assert len(after.manifest()) == 4
