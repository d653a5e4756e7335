import shutil

import pytest

from gender_pipeline.errors import ReproductionError
from gender_pipeline.reproduction import data
from gender_pipeline.reproduction.data import (
    bring_data,
    default_remote,
    keep_data,
    pointer_digest,
    pointer_files,
    push_data,
    use_cache_of,
)
from repositories import call

RAW = "data/reproduction/raw"


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw archives"  # a blank, as people's folders have
    (folder / "muct").mkdir(parents=True)
    (folder / "muct" / "a.tar").write_bytes(b"photos")
    (folder / "table.csv").write_text("name,label\n")
    return folder


def kept(project, raw) -> dict[str, str]:
    return keep_data(project, project / ".dvc" / "tmp" / "captures", {RAW: raw})


def put_pointers(tree, pointers) -> None:
    for path, text in pointers.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / f"{path}.dvc").write_text(text)


def clone_of(project, folder):
    call(folder.parent, "git", "clone", "--quiet", str(project), folder.name)
    return folder


def test_kept_data_comes_back_in_a_clone_through_the_shared_cache(project, raw, tmp_path) -> None:
    pointers = kept(project, raw)
    shutil.rmtree(raw)
    clone = clone_of(project, tmp_path / "clone")
    put_pointers(clone, pointers)
    use_cache_of(project, clone)
    bring_data(clone, list(pointers))
    assert (clone / RAW / "muct" / "a.tar").read_bytes() == b"photos"


def test_the_pointer_is_a_digest_of_names_and_contents(project, raw) -> None:
    first = pointer_digest(kept(project, raw)[RAW])
    assert pointer_digest(kept(project, raw)[RAW]) == first
    (raw / "table.csv").rename(raw / "names.csv")
    renamed = pointer_digest(kept(project, raw)[RAW])
    (raw / "names.csv").write_text("name,label\nx,male\n")
    assert len({first, renamed, pointer_digest(kept(project, raw)[RAW])}) == 3


def test_a_pointer_lists_its_files(project, raw) -> None:
    files = pointer_files(project, kept(project, raw)[RAW])
    assert set(files) == {"muct/a.tar", "table.csv"}


def test_the_data_itself_is_neither_moved_nor_linked(project, raw) -> None:
    kept(project, raw)
    assert not (raw / "table.csv").is_symlink()
    (raw / "table.csv").write_text("changed")  # the cache's copy must not follow
    shutil.rmtree(project / ".dvc" / "tmp")
    assert kept(project, raw)


def test_without_cache_the_data_comes_from_the_remote(project, raw, tmp_path) -> None:
    call(project, "dvc", "remote", "add", "--quiet", "--default", "storage", str(tmp_path / "storage"))
    assert default_remote(project) == "storage"
    pointers = kept(project, raw)
    push_data(project / ".dvc" / "tmp" / "captures", list(pointers))
    shutil.rmtree(project / ".dvc" / "cache")
    clone = clone_of(project, tmp_path / "clone")
    put_pointers(clone, pointers)
    use_cache_of(project, clone)
    bring_data(clone, list(pointers))
    assert (clone / RAW / "table.csv").read_text() == "name,label\n"


def test_data_that_nobody_has_is_an_error(project, raw, tmp_path) -> None:
    pointers = kept(project, raw)
    shutil.rmtree(project / ".dvc" / "cache")
    clone = clone_of(project, tmp_path / "clone")
    put_pointers(clone, pointers)
    use_cache_of(project, clone)
    with pytest.raises(ReproductionError, match="`dvc pull` failed; received "):
        bring_data(clone, list(pointers))


def test_a_project_without_dvc_is_an_error(tmp_path, raw) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(ReproductionError, match="DVC's configuration cannot be read"):
        kept(tmp_path / "bare", raw)


def test_what_did_not_change_is_not_stored_again_and_no_copies_stay_behind(project, raw, monkeypatch) -> None:
    first = kept(project, raw)
    assert not list((project / ".dvc" / "cache" / "files" / "md5").glob(".*.tmp"))
    calls = []
    dvc = data._dvc
    monkeypatch.setattr(data, "_dvc", lambda folder, *arguments: (calls.append(arguments[0]), dvc(folder, *arguments)))
    assert kept(project, raw) == first
    assert calls == []
    (raw / "table.csv").write_text("name,label\ny,male\n")
    assert kept(project, raw) != first
    assert calls == ["add"]
    shutil.rmtree(project / ".dvc" / "cache")  # somebody cleaned up
    kept(project, raw)
    assert calls == ["add", "add"]
    assert not list((project / ".dvc" / "cache" / "files" / "md5").glob(".*.tmp"))
