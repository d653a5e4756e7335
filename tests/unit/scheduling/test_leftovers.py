import subprocess
import sys
from pathlib import Path

import pytest

from gender_pipeline.files import atomic_folder, atomic_path
from gender_pipeline.scheduling.leftovers import sweep, sweep_beside

_KILLED = """
import os, pathlib, sys
from gender_pipeline.files import atomic_folder, atomic_path
with {function}(pathlib.Path(sys.argv[1])) as temporary:
    os._exit(9)
"""


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("function", [atomic_path, atomic_folder])
@pytest.mark.parametrize("name", ["report.json", "model", "part-1.tar.gz", ".hidden"])
def test_what_a_killed_writer_leaves_is_removed(tmp_path, function, name) -> None:
    code = _KILLED.format(function=function.__name__)
    subprocess.run([sys.executable, "-c", code, tmp_path / name], check=False)
    assert len(names(tmp_path)) == 1
    assert len(sweep([tmp_path / name])) == 1
    assert names(tmp_path) == set()


def test_leftovers_inside_of_a_store_are_removed_and_nothing_else(tmp_path) -> None:
    for name in (
        "store/muct/part-1.npy",
        "store/muct/.gitignore",
        "store/.a.b",
        "beside.json",
        ".beside.json.abcdefgh.json",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    kept = names(tmp_path)
    (tmp_path / "store/muct/.part-2.npy.a1b2c3_4.npy").touch()
    (tmp_path / "store/.celeba.a1b2c3_4").mkdir()
    (tmp_path / "store/.celeba.a1b2c3_4/.index.json.a1b2c3_4.json").touch()
    assert len(sweep([tmp_path / "store"])) == 2
    assert names(tmp_path) == kept


def test_a_folder_that_was_being_replaced_is_put_back_where_the_new_one_did_not_come(tmp_path) -> None:
    for name in (".model.a1b2c3_4.old/model.json", ".model.a1b2c3_4/model.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    sweep([tmp_path / "model"])
    assert names(tmp_path) == {"model", "model/model.json"}
    assert (tmp_path / "model/model.json").read_text() == ".model.a1b2c3_4.old/model.json"


def test_an_old_folder_goes_where_the_new_one_came(tmp_path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / ".model.a1b2c3_4.old").mkdir()
    sweep([tmp_path / "model"])
    assert names(tmp_path) == {"model"}


def test_a_link_is_removed_and_not_what_it_points_to(tmp_path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    (tmp_path / ".model.a1b2c3_4").symlink_to(tmp_path / "other")
    sweep([tmp_path / "model"])
    assert names(tmp_path) == {"other", "other/file"}


def test_beside_a_folder_nothing_in_it_is_touched(tmp_path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / ".notes.mine1234").touch()
    (tmp_path / ".raw.a1b2c3_4").mkdir()
    assert sweep_beside(tmp_path / "raw") == [tmp_path / ".raw.a1b2c3_4"]
    assert names(tmp_path) == {"raw", "raw/.notes.mine1234"}


def test_a_place_that_does_not_exist_has_no_leftovers(tmp_path) -> None:
    assert sweep([tmp_path / "absent" / "report.json"]) == []
