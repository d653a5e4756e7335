"""What spares the reading of raw files that did not change."""

import os
import time
from pathlib import Path

import pytest

from gender_pipeline.files import file_digest
from gender_pipeline.sources import known_digests, known_files

HOUR_NS = 3600 * 10**9


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "data" / ".images-files.json"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A file that was written an hour ago."""
    path = tmp_path / "photos.zip"
    write(path, b"photos")
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read."""
    names: list[str] = []

    def digest(file: Path) -> str:
        names.append(file.name)
        return file_digest(file)

    monkeypatch.setattr(known_files, "file_digest", digest)
    return names


def write(path: Path, data: bytes, hours_ago: float = 1) -> None:
    path.write_bytes(data)
    changed = time.time_ns() - int(hours_ago * HOUR_NS)
    os.utime(path, ns=(changed, changed))


def digest(state: Path, *files: Path) -> list[str]:
    with known_digests(state) as digest_of:
        return [digest_of(file) for file in files]


def test_a_file_that_did_not_change_is_read_once(state, archive, read) -> None:
    assert digest(state, archive) == digest(state, archive) == [file_digest(archive)]
    assert read == ["photos.zip"]


def test_another_size_or_another_time_makes_a_file_read_again(state, archive, read) -> None:
    digest(state, archive)
    status = archive.stat()
    archive.write_bytes(b"more photos")
    os.utime(archive, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert digest(state, archive) == [file_digest(archive)]
    write(archive, b"more ph0tos", hours_ago=2)
    assert digest(state, archive) == [file_digest(archive)]
    assert len(read) == 3


@pytest.mark.parametrize("hours_ago", [0, 1 / 3600, -1])
def test_a_file_written_just_now_or_in_the_future_is_not_relied_on(state, archive, read, hours_ago) -> None:
    write(archive, b"photos", hours_ago)
    first = digest(state, archive)
    archive_time = archive.stat().st_mtime_ns
    archive.write_bytes(b"ph0tos")  # within one tick of the file system's clock
    os.utime(archive, ns=(archive_time, archive_time))
    assert digest(state, archive) != first
    assert len(read) == 2


def test_a_file_that_changes_while_it_is_read_is_not_relied_on(state, archive, monkeypatch) -> None:
    def slow_digest(file: Path) -> str:
        found = file_digest(file)
        write(file, b"written in the meantime", hours_ago=0.5)
        return found

    monkeypatch.setattr(known_files, "file_digest", slow_digest)
    digest(state, archive)
    monkeypatch.setattr(known_files, "file_digest", file_digest)
    assert digest(state, archive) == [file_digest(archive)]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'{"a": [1, 2]}', b"\xff"])
def test_a_damaged_state_counts_as_empty(state, archive, read, content) -> None:
    state.parent.mkdir()
    state.write_bytes(content)
    assert digest(state, archive) == digest(state, archive) == [file_digest(archive)]
    assert read == ["photos.zip"]


def test_what_was_not_asked_for_is_forgotten(state, archive, tmp_path, read) -> None:
    write(tmp_path / "other.zip", b"other")
    digest(state, archive, tmp_path / "other.zip")
    digest(state, archive)
    digest(state, tmp_path / "other.zip")
    assert read == ["photos.zip", "other.zip", "other.zip"]


def test_nothing_is_written_where_nothing_is_new(state, archive) -> None:
    digest(state, archive)
    before = state.stat()
    digest(state, archive)
    assert (state.stat().st_ino, state.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_failure_keeps_what_was_known(state, archive, read) -> None:
    digest(state, archive)
    with pytest.raises(FileNotFoundError), known_digests(state) as digest_of:
        digest_of(archive.with_name("gone.zip"))
    digest(state, archive)
    assert read == ["photos.zip"]
