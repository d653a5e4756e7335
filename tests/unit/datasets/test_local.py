import pandas as pd
import pytest
from kedro.io import DatasetError

from gender_pipeline.datasets import FileDataset, FolderDataset

TABLE = pd.DataFrame({"label": ["female", None], "phash": [b"\x00\xff", None], "width_px": [89, 0]})


def test_a_table_survives_parquet(tmp_path) -> None:
    dataset = FileDataset(filepath=str(tmp_path / "deep" / "table.parquet"))
    dataset.save(TABLE)
    pd.testing.assert_frame_equal(dataset.load(), TABLE, check_dtype=False)


@pytest.mark.parametrize(("name", "value"), [("a.json", {"x": [1, None]}), ("a.html", "<p>"), ("a.md", "# Ü\n")])
def test_json_and_text_survive(tmp_path, name, value) -> None:
    dataset = FileDataset(filepath=str(tmp_path / name))
    dataset.save(value)
    assert dataset.load() == value


def test_not_a_number_is_refused_in_json(tmp_path) -> None:
    with pytest.raises(DatasetError, match="JSON compliant"):
        FileDataset(filepath=str(tmp_path / "a.json")).save({"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_optional_file_is_none_and_a_missing_other_one_fails(tmp_path) -> None:
    assert FileDataset(filepath=str(tmp_path / "a.csv"), optional=True).load() is None
    with pytest.raises(DatasetError, match="No such file"):
        FileDataset(filepath=str(tmp_path / "a.csv")).load()


def test_a_folder_takes_a_mapping_an_object_that_saves_or_a_writer(tmp_path) -> None:
    class Model:
        def save(self, folder) -> None:
            folder.mkdir()

    dataset = FolderDataset(filepath=str(tmp_path / "a"), reader="gender_pipeline.files:read_folder")
    dataset.save({"deep/b": b"1"})
    assert dataset.load() == {"deep/b": b"1"}
    FolderDataset(filepath=str(tmp_path / "model")).save(Model())
    FolderDataset(filepath=str(tmp_path / "made")).save(lambda folder: folder.mkdir())
    assert (tmp_path / "model").is_dir()
    assert (tmp_path / "made").is_dir()


def test_what_is_kept_is_read_once_until_it_is_released_or_replaced(tmp_path) -> None:
    dataset = FolderDataset(filepath=str(tmp_path / "a"), reader="gender_pipeline.files:read_folder", keep=True)
    dataset.save({"b": b"1"})
    first = dataset.load()
    assert first == {"b": b"1"}
    assert dataset.load() is first
    dataset.release()
    assert dataset.load() is not first
    dataset.save({"b": b"2"})
    assert dataset.load() == {"b": b"2"}


def test_what_is_not_kept_is_read_each_time(tmp_path) -> None:
    dataset = FolderDataset(filepath=str(tmp_path / "a"), reader="gender_pipeline.files:read_folder")
    dataset.save({"b": b"1"})
    assert dataset.load() is not dataset.load()
