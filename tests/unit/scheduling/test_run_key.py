import os

import pytest

from gender_pipeline.scheduling.run_key import (
    STATE_FILE,
    LastRun,
    code_digest,
    fingerprint,
    forget_last_run,
    read_last_run,
    run_key,
    write_last_run,
)
from gender_pipeline.schema import Settings

LAST = LastRun(key="1" * 64, run_id="2" * 32, date="2026-01-01T00:00:00+00:00", outputs=("model",))


class Block(Settings):
    seed: int = 0


def test_a_key_depends_on_values_and_not_on_their_order_or_type() -> None:
    assert run_key({"a": Block(), "b": [1]}) == run_key({"b": (1,), "a": {"seed": 0}})
    assert run_key({"a": Block()}) != run_key({"a": Block(seed=1)})
    assert run_key({"a": {}}) != run_key({"b": {}})


@pytest.fixture
def raw(tmp_path):
    for name in ("muct/a.tar.gz", "celeba/img/1.jpg"):
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True)
        path.write_text(name)
    return tmp_path / "raw"


def change(raw) -> None:
    (raw / "muct/a.tar.gz").write_text("longer than before")


def touch(raw) -> None:
    os.utime(raw / "muct/a.tar.gz", ns=(1, 1))


def add(raw) -> None:
    (raw / "celeba/img/2.jpg").touch()


def remove(raw) -> None:
    (raw / "celeba/img/1.jpg").unlink()


def rename(raw) -> None:
    (raw / "celeba/img/1.jpg").rename(raw / "celeba/img/3.jpg")


def clear(raw) -> None:
    raw.rename(raw.parent / "elsewhere")


@pytest.mark.parametrize("act", [change, touch, add, remove, rename, clear])
def test_every_change_of_a_file_changes_the_fingerprint(raw, act) -> None:
    before = fingerprint(raw)
    assert fingerprint(raw) == before
    act(raw)
    assert fingerprint(raw) != before


def test_hidden_files_and_the_folders_place_do_not_count(raw, tmp_path) -> None:
    before = fingerprint(raw)
    for name in (".lock", "muct/.DS_Store", ".git/HEAD"):
        (raw / name).parent.mkdir(exist_ok=True)
        (raw / name).touch()
    raw.rename(tmp_path / "moved")
    assert fingerprint(tmp_path / "moved") == before


def test_a_linked_data_set_counts_as_if_it_lay_there(raw, tmp_path) -> None:
    (raw / "muct").rename(tmp_path / "elsewhere")
    (raw / "muct").symlink_to(tmp_path / "elsewhere")
    before = fingerprint(raw)
    (tmp_path / "elsewhere" / "a.tar.gz").write_text("another one")
    assert fingerprint(raw) != before


def test_a_single_file_and_a_broken_link_have_fingerprints_too(raw) -> None:
    (raw / "broken").symlink_to("nowhere")
    assert len({fingerprint(raw), fingerprint(raw / "broken"), fingerprint(raw / "muct/a.tar.gz")}) == 3


@pytest.mark.parametrize("name", ["package/a.py", "package/page.html.j2", "lock.txt"])
def test_code_is_content_and_not_time(tmp_path, name) -> None:
    (tmp_path / "package").mkdir()
    for part in ("package/a.py", "package/page.html.j2", "lock.txt"):
        (tmp_path / part).write_text("1")

    def digest() -> str:
        return code_digest(tmp_path / "package", tmp_path / "lock.txt")

    before = digest()
    os.utime(tmp_path / name, ns=(1, 1))
    (tmp_path / "package" / "__pycache__").mkdir()
    (tmp_path / "package" / "__pycache__" / "a.pyc").touch()
    assert digest() == before
    (tmp_path / name).write_text("2")
    assert digest() != before


def test_the_last_run_is_remembered_until_it_is_forgotten(tmp_path) -> None:
    assert read_last_run(tmp_path) is None
    write_last_run(tmp_path, LAST)
    assert read_last_run(tmp_path) == LAST
    forget_last_run(tmp_path)
    forget_last_run(tmp_path)
    assert read_last_run(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"key": "1"}', "\x00"])
def test_a_damaged_memory_is_none(tmp_path, text) -> None:
    (tmp_path / STATE_FILE).write_text(text)
    assert read_last_run(tmp_path) is None
