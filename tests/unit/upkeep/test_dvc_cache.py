import hashlib

import pytest

from gender_pipeline.errors import UpkeepError
from gender_pipeline.reproduction.git import git
from gender_pipeline.upkeep import dvc_cache
from gender_pipeline.upkeep.dvc_cache import folder_contents, needs_of_commits, needs_of_project, objects
from repositories import IDENTITY, call
from upkeep_worlds import capture, object_path, pointer, put_folder, put_object


def commit(project, **files: str) -> None:
    for name, text in files.items():
        (project / name.replace("__", ".")).write_text(text)
    call(project, "git", "add", "--all", "--force")
    call(project, "git", *IDENTITY, "commit", "--quiet", "--allow-empty", "--message", "more")


def test_objects_are_named_by_md5_and_listings_come_first(project) -> None:
    folder = put_folder(project, {"a": b"a", "b": b"b"})
    found = list(objects(project))
    assert next(it.name for it in found) == folder
    assert {it.name for it in found} == {folder, *folder_contents(found)[folder]}
    assert len(folder_contents(found)[folder]) == 2


def test_copies_that_dvc_left_in_its_cache_are_found_and_other_files_are_not(project) -> None:
    cache = object_path(project, put_object(project, b"a")).parents[1]
    (cache / ".Ny6glAwSGy5M48BMqZzmWg.tmp").write_bytes(b"left")
    (cache / "notes.txt").write_bytes(b"mine")
    (cache / "zz").mkdir()
    (cache / "zz" / ("0" * 30)).write_bytes(b"not hexadecimal")
    assert sorted(it.kind for it in objects(project)) == ["DVC leftovers", "DVC objects"]


def test_a_cache_that_may_be_shared_is_left_alone(project, tmp_path) -> None:
    put_object(project, b"a")
    (project / ".dvc" / "cache").rename(tmp_path / "shared")
    assert list(objects(project)) == []
    (project / ".dvc" / "cache").symlink_to(tmp_path / "shared")
    assert list(objects(project)) == []


def test_every_content_a_pointer_ever_had_is_needed(project) -> None:
    first, second, other, stashed = (character * 32 for character in "abcd")
    commit(project, raw__dvc=pointer(first))
    commit(project, raw__dvc=pointer(second))
    git(project, "rm", "--quiet", "raw.dvc")
    commit(project)
    git(project, "checkout", "--quiet", "-b", "side", "HEAD~2")
    commit(project, dvc__lock=f"stages:\n  a:\n    outs:\n    - path: x\n      md5: {other}.dir\n")
    git(project, "checkout", "--quiet", "main")
    (project / "raw.dvc").write_text(pointer(stashed))
    git(project, "add", "raw.dvc")
    call(project, "git", *IDENTITY, "stash", "--quiet")
    assert needs_of_project(project) == {first, second, f"{other}.dir", stashed}


def test_what_only_a_merge_brought_is_needed(project) -> None:
    resolved = "e" * 32
    commit(project, raw__dvc=pointer("a" * 32))
    git(project, "checkout", "--quiet", "-b", "side")
    commit(project, raw__dvc=pointer("b" * 32))
    git(project, "checkout", "--quiet", "main")
    commit(project, raw__dvc=pointer("c" * 32))
    call(project, "git", *IDENTITY, "merge", "--quiet", "--no-commit", "--strategy", "ours", "side")
    commit(project, raw__dvc=pointer(resolved))
    commit(project, raw__dvc=pointer("d" * 32))
    assert resolved in needs_of_project(project)


def test_pointers_that_are_not_committed_are_needed(project, tmp_path) -> None:
    staged, changed, ignored, elsewhere = (character * 32 for character in "abcd")
    (project / "raw.dvc").write_text(pointer(staged))
    git(project, "add", "raw.dvc")
    (project / "raw.dvc").write_text(pointer(changed))
    helper = project / ".dvc" / "tmp" / "captures" / "raw.dvc"
    helper.parent.mkdir(parents=True)
    helper.write_text(pointer(ignored))
    git(project, "worktree", "add", "--quiet", "--detach", str(tmp_path / "other"))
    (tmp_path / "other" / "raw.dvc").write_text(pointer(elsewhere))
    assert needs_of_project(project) == {staged, changed, ignored, elsewhere}


def test_captures_speak_for_themselves_with_their_data_and_their_packages(project) -> None:
    md5 = put_object(project, b"photos")
    one = capture(project, "a" * 32, md5)
    assert needs_of_project(project) == set()
    lock = hashlib.sha256(b"numpy==2.4.1\n").hexdigest()[:16]
    assert needs_of_commits(project, [one, git(project, "rev-parse", "HEAD")]) == {
        one: {md5, lock},
        git(project, "rev-parse", "HEAD"): {lock},
    }


def test_a_pointer_of_unusual_name_or_content_is_read(project) -> None:
    (project / "größe\n.dvc").write_bytes(b"\xff\x00" + pointer("f" * 32).encode())
    commit(project)
    head = git(project, "rev-parse", "HEAD")
    assert needs_of_commits(project, [head])[head] > {"f" * 32}
    (project / "größe\n.dvc").unlink()
    assert needs_of_project(project) == {"f" * 32}


def test_where_git_lacks_an_object_nobody_can_say_what_is_needed(project, monkeypatch) -> None:
    monkeypatch.setattr(dvc_cache, "_tree", lambda *_: {"raw.dvc": "0" * 40})
    with pytest.raises(UpkeepError, match=r"git lacks an object: 0000000000.*; git fsck"):
        needs_of_commits(project, ["HEAD"])


def test_dvc_gc_would_delete_what_a_captured_run_needs(project) -> None:
    """Why there is `gender-pipeline clean`; should this fail one day, `dvc gc --all-commits` has become safe."""
    capture(project, "a" * 32, put_object(project, b"photos"))
    said = call(project, "dvc", "gc", "--all-commits", "--dry", "--force")
    assert "Removed 1 objects" in said
