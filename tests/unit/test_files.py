import pytest

from gender_pipeline.errors import SourceError, examples
from gender_pipeline.files import atomic_folder, atomic_path, read_folder, write_folder, write_text


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path) -> None:
    target = tmp_path / "table.csv"
    write_text(target, "old")

    def killed_half_way() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        killed_half_way()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_failed_folder_leaves_the_old_folder_and_no_litter(tmp_path) -> None:
    target = tmp_path / "model"
    write_folder(target, {"a": b"old"})

    def killed_half_way() -> None:
        with atomic_folder(target) as temporary:
            (temporary / "a").write_bytes(b"half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        killed_half_way()
    assert read_folder(target) == {"a": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_is_replaced_whole(tmp_path) -> None:
    write_folder(tmp_path / "docs", {"old.html": b"1", "deep/old.html": b"2"})
    write_folder(tmp_path / "docs", {"new/index.html": b"3"})
    assert read_folder(tmp_path / "docs") == {"new/index.html": b"3"}
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_files_are_readable_by_others_as_the_umask_says(tmp_path) -> None:
    write_text(tmp_path / "a", "")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_an_error_is_one_line_with_expected_received_and_remedy() -> None:
    error = SourceError("the table\nis wrong", expected="two columns", received="one", remedy="add the other")
    assert str(error) == "the table is wrong; expected two columns; received one; add the other"


def test_examples_are_at_most_five() -> None:
    assert examples(range(7)) == "0, 1, 2, 3, 4 and 2 more"
