"""Torch's zip archives are read where they lie; an archive torch would not write is refused."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo.torch_weights import read_torch_file
from torch_files import KINDS, code, state_dict, tensor, torch_zip

ITEM = code("w") + tensor("0", 4, (2, 2), (2, 1))
FOUR = np.arange(4, dtype="<f4").tobytes()
VALID = torch_zip(ITEM, {"0": FOUR})
ON_DISK = settings(deadline=None)  # each example is a file, and the disk may be busy


def read(data: bytes, folder: Path) -> dict[str, np.ndarray]:
    path = folder / "weights.pt"
    path.write_bytes(data)
    return read_torch_file(path)


def repacked(compression: int) -> bytes:
    """Give the valid file as another program would pack it."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(VALID)) as old, zipfile.ZipFile(file, "w", compression) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info) * (1000 if compression else 1))
    return file.getvalue()


def place_of(data: bytes, signature: bytes, which: int) -> int:
    """Find the n-th header of a kind."""
    place = -1
    for _ in range(which + 1):
        place = data.index(signature, place + 1)
    return place


def changed(signature: bytes, field: int, layout: str, value: int, which: int = 0) -> bytes:
    """Give the valid file with another number in a header."""
    data = bytearray(VALID)
    struct.pack_into(layout, data, place_of(VALID, signature, which) + field, value)
    return bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_all_kinds_come_with_their_values(kind: str, tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=kind).reshape(2, 3), "b": np.arange(3, dtype=kind)}
    found = read(state_dict(arrays), tmp_path)
    assert list(found) == ["a", "b"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
        assert not found[name].flags.writeable


@ON_DISK
@given(length=st.integers(1, len(VALID) - 1))
def test_an_archive_cut_short_anywhere_is_refused(length: int, tmp_path_factory: Any) -> None:
    with pytest.raises(ZooError, match=r"cannot read weights from weights\.pt"):
        read(VALID[:length], tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "other/../../up"])
def test_a_name_that_leaves_the_archive_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="a name torch does not write"):
        read(torch_zip(ITEM, {"0": FOUR}, others={name: b"x"}), tmp_path)


def test_members_in_two_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="more than one folder"):
        read(torch_zip(ITEM, {"0": FOUR}, others={"other/data.pkl": b"x"}), tmp_path)


def test_a_bomb_is_never_decompressed(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="is compressed or encrypted; expected members stored as they are"):
        read(repacked(zipfile.ZIP_DEFLATED), tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(changed(b"PK\x05\x06", 10, "<H", 9), "directory of the zip archive is damaged", id="more entries"),
        pytest.param(changed(b"PK\x05\x06", 12, "<L", 2**31), "directory .* is too large", id="huge directory"),
        pytest.param(changed(b"PK\x05\x06", 16, "<L", 2**31), "directory .* is too large", id="directory outside"),
        pytest.param(changed(b"PK\x01\x02", 8, "<H", 1), "compressed or encrypted", id="encrypted"),
        pytest.param(changed(b"PK\x01\x02", 24, "<L", 2**31), "compressed or encrypted", id="another size"),
        pytest.param(changed(b"PK\x01\x02", 42, "<L", 2**31), "lies outside the file", id="member outside"),
        pytest.param(changed(b"PK\x01\x02", 42, "<L", 0, which=1), "not where the directory says", id="same member"),
        pytest.param(changed(b"PK\x03\x04", 28, "<H", 60_000), "overlap or reach past", id="long extra field"),
    ],
)
def test_a_directory_that_lies_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=message):
        read(data, tmp_path)


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    data = bytearray(VALID)
    entry = place_of(VALID, b"PK\x01\x02", 0)  # the pickle, made to reach over the members after it
    struct.pack_into("<LL", data, entry + 20, 400, 400)
    with pytest.raises(ZooError, match="overlap or reach past"):
        read(bytes(data), tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO(VALID)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("weights/data.pkl", b"x")
    with pytest.raises(ZooError, match="has a member twice"):
        read(file.getvalue(), tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch_zip(ITEM, {}), r"the archive has no member data/0; received data\.pkl"),
        (torch_zip(ITEM, {"0": FOUR[:-1]}), "storage 0 has 15 bytes; expected 4 values"),
        (torch_zip(ITEM, {"0": FOUR}, others={"byteorder": b"big"}), "wrong byte order; expected little"),
        (torch_zip(b"", {}, others={"data.pkl": b"("}), "the pickle is damaged"),
        (torch_zip(b"", {}, others={"data.pkl": bytes(2**20 + 1)}), "the pickle is too long"),
        (torch_zip(b"", {}, others={"data.pkl": b"\x80\x02cos\nsystem\n."}), r"asks for os\.system"),
        (torch_zip(b"", {}, others={"data.pkl": b"\x80\x02K\x01."}), "something else than tensors by name"),
        (torch_zip(code("w") + tensor("../0", 4, (4,), (1,)), {"0": FOUR}), r"no member data/\.\./0"),
    ],
)
def test_members_that_do_not_fit_the_pickle_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=message):
        read(data, tmp_path)
