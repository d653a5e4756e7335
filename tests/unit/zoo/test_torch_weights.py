"""Torch files are read without torch; whatever else a file asks for is refused before it runs."""

import contextlib
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo import mapped, torch_pickle
from gender_pipeline.zoo.torch_weights import read_torch_file
from torch_files import DICT, MAGIC, REBUILD, SYSTEM, code, state_dict, tensor, torch_file, values

ON_DISK = settings(deadline=None)  # each example is a file, and the disk may be busy


def read(data: bytes, folder: Path) -> dict[str, np.ndarray]:
    path = folder / "weights.pth"
    path.write_bytes(data)
    return read_torch_file(path)


ITEM = code("w") + tensor("7", 4, (2, 2), (2, 1))
VALID = torch_file(ITEM, ["7"], values(1, 2, 3, 4))
ZIPPED = state_dict({"w": np.arange(4, dtype=np.float32)})
PARAMETER = b"ctorch._utils\n_rebuild_parameter\n"


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


@ON_DISK
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
        pytest.param(b"\x96" + bytes(8), id="bytearray of any size"),
        pytest.param(b"\x82\x01", id="extension registry"),
        pytest.param(b"(ios\nsystem\n", id="instance"),
        pytest.param(b"\x93", id="name from the stack"),
        pytest.param(b"2", id="copy of the top"),
    ],
)
def test_an_opcode_no_torch_file_has_is_refused_before_it_runs(opcodes: bytes, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="opcode no torch file has"):
        read(torch_file(code("w") + code(1) + opcodes, [], b""), tmp_path)


@pytest.mark.parametrize(
    "opcodes",
    [
        pytest.param(b"t", id="tuple without a mark"),
        pytest.param(b"h\x63", id="memo that is not there"),
        pytest.param(b")R", id="call of a string"),
        pytest.param(DICT[:-2] + b"(K\x01tR", id="OrderedDict of something"),
        pytest.param(REBUILD + code((1, 2, 3, 4, 5, 6)) + b"R", id="tensor without a storage"),
        pytest.param(REBUILD + b")R", id="tensor of nothing"),
        pytest.param(PARAMETER + code((1, True, None)) + b"R", id="parameter without a tensor"),
        pytest.param(PARAMETER + b")R", id="parameter of nothing"),
        pytest.param(b"K\x01a", id="append to a string"),
        pytest.param(b"}" + code((1, 2)) + b"K\x01s", id="tuple as a key"),
        pytest.param(code("storage") + b"Q", id="storage described by a string"),
        pytest.param(b"K\x01Q", id="storage described by a number"),
    ],
)
def test_an_opcode_used_as_torch_never_does_is_refused(opcodes: bytes, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"the pickle is damaged|storage of an unknown kind"):
        read(torch_file(code("w") + opcodes, [], b""), tmp_path)


def test_a_nested_tuple_whose_hash_would_end_the_process_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="keys must be strings or integers"):
        read(torch_file(b")" + b"\x85" * 500_000 + b"K\x01", [], b""), tmp_path)


def test_a_memo_with_a_huge_index_costs_nothing(tmp_path: Path) -> None:
    item = code("w") + tensor("7", 4, (2, 2), (2, 1)) + b"r\xff\xff\xff\x7f"
    assert read(torch_file(item, ["7"], values(1, 2, 3, 4)), tmp_path)["w"].shape == (2, 2)


def test_what_torch_sets_on_a_dictionary_is_passed_over(tmp_path: Path) -> None:
    data = torch_file(ITEM, ["7"], values(1, 2, 3, 4)).replace(b"tRu.", b"tRu" + code({"_metadata": 1}) + b"b.")
    assert list(read(data, tmp_path)) == ["w"]


def test_parameters_are_their_tensors(tmp_path: Path) -> None:
    item = code("w") + PARAMETER + b"(" + tensor("7", 4, (4,), (1,)) + b"\x88" + DICT + b"tR"
    assert read(torch_file(item, ["7"], values(1, 2, 3, 4)), tmp_path)["w"].tolist() == [1, 2, 3, 4]


def test_a_checkpoint_gives_its_state_dictionary(tmp_path: Path) -> None:
    other = code("best") + tensor("8", 1, (1,), (1,)) + code("epoch") + code(3) + code("loss") + code(0.5)
    item = code("state_dict") + b"}(" + ITEM + b"u" + other
    assert list(read(torch_file(item, ["7", "8"], values(1, 2, 3, 4) + values(9)), tmp_path)) == ["w"]


def test_a_storage_described_in_two_ways_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="storage 7 is described in two ways"):
        read(torch_file(ITEM + code("v") + tensor("7", 3, (1,), (1,)), ["7"], values(1, 2, 3, 4)), tmp_path)


@ON_DISK
@given(length=st.integers(0, len(VALID) - 1))
def test_a_file_cut_short_anywhere_is_refused(length: int, tmp_path_factory: Any) -> None:
    with pytest.raises(ZooError, match=r"weights\.pth"):
        read(VALID[:length], tmp_path_factory.getbasetemp())


@ON_DISK
@given(valid=st.sampled_from([VALID, ZIPPED]), data=st.data(), byte=st.integers(0, 255))
def test_a_damaged_byte_gives_arrays_or_a_zoo_error(valid: bytes, data: Any, byte: int, tmp_path_factory: Any) -> None:
    position = data.draw(st.integers(0, len(valid) - 1))
    damaged = valid[:position] + bytes([byte]) + valid[position + 1 :]
    with contextlib.suppress(ZooError):
        assert all(array.size <= 4 for array in read(damaged, tmp_path_factory.getbasetemp()).values())


BIG_ENDIAN = SYSTEM | {"little_endian": False}


@pytest.mark.parametrize(
    "head", [(1, 1001, SYSTEM), (MAGIC, 1002, SYSTEM), (MAGIC, 1001, BIG_ENDIAN), (MAGIC, 1001, 3)]
)
def test_another_head_is_refused(head: tuple[Any, ...], tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="wrong head"):
        read(torch_file(ITEM, ["7"], values(1, 2, 3, 4), head=head), tmp_path)


def test_a_storage_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    huge = code("w") + tensor("7", 2**40, (2,), (1,))
    with pytest.raises(ZooError, match="the last storage does not end the file"):
        read(torch_file(huge, ["7"], struct.pack("<q", 2**40) + bytes(8)), tmp_path)


def test_a_storage_that_contradicts_its_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="storage 7 has 3 values; expected 4"):
        read(torch_file(ITEM, ["7"], values(1, 2, 3)), tmp_path)


@pytest.mark.parametrize("keys", [[], ["8"], ["7", "7"], ["7", 8]])
def test_the_list_of_storages_must_be_that_of_the_tensors(keys: list[Any], tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="not those of its tensors"):
        read(torch_file(ITEM, keys, values(1, 2, 3, 4)), tmp_path)


def test_bytes_after_the_last_storage_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="the last storage does not end the file"):
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
    with pytest.raises(ZooError, match=r"tensor w (reaches past|has no valid shape|has 1 lengths and 0 strides)"):
        read(torch_file(item, ["7"], values(1, 2, 3, 4)), tmp_path)


def test_a_persistent_id_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="storage of an unknown kind"):
        read(torch_file(code("w") + code(("module", "<f4", "7", "cpu", 4, None)) + b"Q", [], b""), tmp_path)


def test_a_file_that_is_absent_or_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZooError, match=r"cannot read weights from none\.pth.*received no file"):
        read_torch_file(tmp_path / "none.pth")
    with pytest.raises(ZooError, match="received 0 bytes"):
        read(b"", tmp_path)
    monkeypatch.setattr(mapped, "MAX_FILE_BYTES", len(VALID) - 1)
    with pytest.raises(ZooError, match=f"1 to {len(VALID) - 1} bytes"):
        read(VALID, tmp_path)


def test_pickles_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="the pickles are too long"):
        read(torch_file(b"(" * torch_pickle.MAX_PICKLE_BYTES, [], b""), tmp_path)
