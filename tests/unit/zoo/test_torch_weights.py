"""Torch files are read without torch; whatever else a file asks for is refused before it runs."""

import contextlib
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo import torch_weights
from gender_pipeline.zoo.torch_weights import read_torch_file

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
DICT = b"ccollections\nOrderedDict\n)R"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def code(value: object) -> bytes:
    """Give the opcodes which put a plain value on the stack."""
    return pickle.dumps(value, protocol=2)[2:-1]


def tensor(key: str, n_values: int, shape: Any, strides: Any, *, offset: int = 0, kind: str = "Float") -> bytes:
    """Give the opcodes of a tensor as torch writes them."""
    pid = code("storage") + f"ctorch\n{kind}Storage\n".encode() + code(key) + code("cpu") + code(n_values)
    arguments = b"(" + pid + b"NtQ" + code(offset) + code(shape) + code(strides) + b"\x89" + DICT
    return REBUILD + b"(" + arguments + b"tR"


def values(*numbers: float, kind: str = "f") -> bytes:
    """Give a storage: the count of values, then the values."""
    return struct.pack("<q", len(numbers)) + struct.pack(f"<{len(numbers)}{kind}", *numbers)


def torch_file(tensors: bytes, keys: object, storages: bytes, *, head: Any = (MAGIC, 1001, SYSTEM)) -> bytes:
    """Give a torch file; `tensors` are the opcodes of a dictionary's items."""
    start = b"".join(pickle.dumps(value, protocol=2) for value in head)
    return start + b"\x80\x02" + DICT + b"(" + tensors + b"u." + pickle.dumps(keys, protocol=2) + storages


def read(data: bytes, folder: Path) -> dict[str, np.ndarray]:
    path = folder / "weights.pth"
    path.write_bytes(data)
    return read_torch_file(path)


ITEM = code("w") + tensor("7", 4, (2, 2), (2, 1))
VALID = torch_file(ITEM, ["7"], values(1, 2, 3, 4))


def test_tensors_come_with_their_names_values_and_types(tmp_path: Path) -> None:
    count = code("n") + tensor("8", 1, (), (), kind="Long")
    tensors = read(torch_file(ITEM + count, ["8", "7"], values(5, kind="q") + values(1, 2, 3, 4)), tmp_path)
    assert list(tensors) == ["w", "n"]
    assert tensors["w"].tolist() == [[1, 2], [3, 4]]
    assert tensors["w"].dtype == np.float32
    assert tensors["n"].dtype == np.int64
    assert tensors["n"] == 5


def test_tensors_can_share_a_storage(tmp_path: Path) -> None:
    part = code("part") + tensor("7", 4, (2,), (1,), offset=2)
    tensors = read(torch_file(ITEM + part, ["7"], values(1, 2, 3, 4)), tmp_path)
    assert tensors["part"].tolist() == [3, 4]


def test_tensors_are_read_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        read(VALID, tmp_path)["w"][0, 0] = 9


@given(data=st.data(), array=arrays(np.float32, array_shapes(max_dims=4, max_side=4), elements=st.floats(width=32)))
def test_any_order_of_axes_in_the_storage_is_read(data: Any, array: np.ndarray, tmp_path_factory: Any) -> None:
    turned = array.transpose(data.draw(st.permutations(range(array.ndim))))
    strides = tuple(step // 4 for step in turned.strides)
    item = code("w") + tensor("0", array.size, turned.shape, strides)
    found = read(torch_file(item, ["0"], values(*array.ravel().tolist())), tmp_path_factory.getbasetemp())["w"]
    np.testing.assert_array_equal(found, turned)


def test_a_pickle_that_calls_the_shell_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'owned'}",)

    for attack in (pickle.dumps(Attack(), 2), torch_file(code("w") + code(Attack()), [], b"")):
        with pytest.raises(ZooError, match=r"asks for (posix|nt)\.system"):
            read(attack, tmp_path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["builtins\neval", "torch\nload", "collections\nCounter", "torch._utils\nos"])
def test_a_name_outside_the_table_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"asks for .*only tensors, torch storages and OrderedDict"):
        read(torch_file(code("w") + f"c{name}\n".encode(), [], b""), tmp_path)


@pytest.mark.parametrize(
    "opcodes",
    [
        pytest.param(b"r\xff\xff\xff\x7f", id="memo of 2 ** 31 entries"),
        pytest.param(b"\x96" + bytes(8), id="bytearray of any size"),
        pytest.param(b"\x82\x01", id="extension registry"),
        pytest.param(b"(ios\nsystem\n", id="instance"),
        pytest.param(b"\x93", id="name from the stack"),
    ],
)
def test_an_opcode_no_torch_file_has_is_refused_before_it_runs(opcodes: bytes, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="opcode no torch file has"):
        read(torch_file(code("w") + code(1) + opcodes, [], b""), tmp_path)


def test_what_a_pickle_sets_on_our_stand_ins_is_gone_for_the_next_file(tmp_path: Path) -> None:
    state = code((None, {"__kwdefaults__": {"storage": 1}, "__defaults__": (1, 2)}))
    with pytest.raises(ZooError, match="something else than tensors"):
        read(torch_file(code("w") + REBUILD + state + b"b", [], b""), tmp_path)
    assert read(VALID, tmp_path)["w"].tolist() == [[1, 2], [3, 4]]


@given(length=st.integers(0, len(VALID) - 1))
def test_a_file_cut_short_anywhere_is_refused(length: int, tmp_path_factory: Any) -> None:
    with pytest.raises(ZooError, match=r"weights\.pth"):
        read(VALID[:length], tmp_path_factory.getbasetemp())


@given(position=st.integers(0, len(VALID) - 1), byte=st.integers(0, 255))
def test_a_damaged_byte_gives_arrays_or_a_zoo_error(position: int, byte: int, tmp_path_factory: Any) -> None:
    damaged = VALID[:position] + bytes([byte]) + VALID[position + 1 :]
    with contextlib.suppress(ZooError):
        assert all(array.size <= 4 for array in read(damaged, tmp_path_factory.getbasetemp()).values())


BIG_ENDIAN = SYSTEM | {"little_endian": False}


@pytest.mark.parametrize(
    "head", [(1, 1001, SYSTEM), (MAGIC, 1002, SYSTEM), (MAGIC, 1001, BIG_ENDIAN), (MAGIC, 1001, 3)]
)
def test_another_head_is_refused(head: tuple[Any, ...], tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"torch format before 1\.6"):
        read(torch_file(ITEM, ["7"], values(1, 2, 3, 4), head=head), tmp_path)


def test_the_zip_format_is_named_and_the_remedy_said(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"zip format of torch 1\.6.*_use_new_zipfile_serialization=False"):
        read(b"PK\x03\x04" + VALID, tmp_path)


def test_a_storage_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    huge = code("w") + tensor("7", 2**40, (2,), (1,))
    with pytest.raises(ZooError, match="storage 7 is larger than the file"):
        read(torch_file(huge, ["7"], struct.pack("<q", 2**40) + bytes(8)), tmp_path)


def test_a_storage_that_contradicts_its_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="storage 7 has 3 values; expected 4"):
        read(torch_file(ITEM, ["7"], values(1, 2, 3)), tmp_path)


@pytest.mark.parametrize("keys", [[], ["8"], ["7", "7"], ["7", 8]])
def test_the_list_of_storages_must_be_that_of_the_tensors(keys: list[Any], tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"not those of its tensors|TypeError"):
        read(torch_file(ITEM, keys, values(1, 2, 3, 4)), tmp_path)


def test_bytes_after_the_last_storage_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="bytes after the last storage"):
        read(VALID + b"\0", tmp_path)


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        pytest.param((5,), (1,), 0, id="too long"),
        pytest.param((2,), (4,), 0, id="stride past the end"),
        pytest.param((2,), (1,), 3, id="offset past the end"),
        pytest.param((1000, 1000), (0, 0), 0, id="stride 0"),
        pytest.param((2,), (1,), -1, id="negative offset"),
        pytest.param((2,), (-1,), 1, id="negative stride"),
        pytest.param((2,), (), 0, id="shape without strides"),
        pytest.param((0,), (1,), 0, id="no values"),
        pytest.param((None,), (1,), 0, id="shape of no numbers"),
    ],
)
def test_a_tensor_that_reaches_past_its_storage_is_refused(
    shape: Any, strides: Any, offset: int, tmp_path: Path
) -> None:
    item = code("w") + tensor("7", 4, shape, strides, offset=offset)
    with pytest.raises(ZooError, match=r"tensor w (reaches past|has no valid shape)|ValueError"):
        read(torch_file(item, ["7"], values(1, 2, 3, 4)), tmp_path)


def test_a_persistent_id_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="storage of an unknown kind"):
        read(torch_file(code("w") + code(("module", "<f4", "7", "cpu", 4, None)) + b"Q", [], b""), tmp_path)


def test_a_file_that_is_absent_or_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZooError, match=r"cannot read weights from none\.pth"):
        read_torch_file(tmp_path / "none.pth")
    monkeypatch.setattr(torch_weights, "MAX_FILE_BYTES", len(VALID) - 1)
    with pytest.raises(ZooError, match=f"at most {len(VALID) - 1} bytes"):
        read(VALID, tmp_path)


def test_pickles_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="the pickles are too long"):
        read(torch_file(b"(" * torch_weights.MAX_PICKLE_BYTES, [], b""), tmp_path)
