import os
import time

import pytest

from gender_pipeline.errors import UpkeepError
from gender_pipeline.reproduction.git import git, worktree
from gender_pipeline.upkeep.disk import (
    WORKTREES,
    caches,
    environments,
    remove_environment,
    remove_file,
    remove_reproduction,
    worktrees,
)

RUN = "a" * 32


def put(path, content: bytes = b"12345"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_only_features_and_checkpoints_of_a_data_root_are_caches(tmp_path) -> None:
    put(tmp_path / "training" / "model" / "weights")
    feature, checkpoint = put(tmp_path / "cache/features/k/part-1.npy"), put(tmp_path / "cache/checkpoints/fold-1")
    found = list(caches(tmp_path))
    assert [(it.kind, it.path) for it in found] == [("features", feature), ("checkpoints", checkpoint)]
    assert [inode.n_bytes for it in found for inode in it.inodes] == [5, 5]


def test_a_part_that_was_used_is_as_young_as_its_use(tmp_path) -> None:
    part = put(tmp_path / "cache/features/k/part-1.npy")
    os.utime(part, (time.time() + 500, time.time() + 500))
    (found,) = caches(tmp_path)
    assert found.used_s > time.time() + 400


def test_an_old_time_of_writing_does_not_make_a_new_file_old(tmp_path) -> None:
    os.utime(put(tmp_path / "cache/features/k/part-1.npy"), (1, 1))
    (found,) = caches(tmp_path)
    assert found.used_s > time.time() - 60


def test_links_are_not_followed(tmp_path) -> None:
    put(tmp_path / "elsewhere/k/part-1.npy")
    root = tmp_path / "data"
    (root / "cache/features").mkdir(parents=True)
    (root / "cache/features/linked").symlink_to(tmp_path / "elsewhere/k")
    (root / "cache/features/part-2.npy").symlink_to(tmp_path / "elsewhere/k/part-1.npy")
    (root / "cache/checkpoints").symlink_to(tmp_path / "elsewhere")
    assert list(caches(root)) == []
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    assert list(environments(tmp_path / "linked")) == []


def test_a_removed_part_takes_its_empty_folder_along(tmp_path) -> None:
    first, second = put(tmp_path / "k/part-1.npy"), put(tmp_path / "k/part-2.npy")
    remove_file(first)
    assert second.exists()
    remove_file(second)
    remove_file(second)
    assert not second.parent.exists()


def test_a_kept_worktree_is_found_and_goes_with_gits_note_of_it(project) -> None:
    with worktree(project, "HEAD", project / WORKTREES / RUN):
        pass
    put(project / WORKTREES / "notes" / "mine.txt")
    (found,) = worktrees(project)
    assert (found.path.name, found.used_s > time.time() - 60) == (RUN, True)
    remove_reproduction(project, found.path)
    assert git(project, "worktree", "list").count("\n") == 0
    assert list(worktrees(project)) == []
    with pytest.raises(UpkeepError, match="is not one of our worktrees"):
        remove_reproduction(project, project)


def test_an_environment_is_as_old_as_its_last_interpreter(tmp_path) -> None:
    config = put(tmp_path / ("a" * 16) / "pyvenv.cfg")
    put(config.with_name(".ready"))
    put(tmp_path / ("b" * 16) / "lib" / "half-made")
    put(tmp_path / "mine" / "pyvenv.cfg")
    os.utime(config, (time.time() + 500, 1))
    (found,) = environments(tmp_path)
    assert (found.name, found.used_s > time.time() + 400) == ("a" * 16, True)
    assert sum(inode.n_bytes for inode in found.inodes) == 10
    remove_environment(found.path)
    assert not found.path.exists()
