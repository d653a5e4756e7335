"""Torch7 files are read without Torch; a file that lies about what it holds ends in a ZooError."""

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo import torch7 as reader
from gender_pipeline.zoo.mapped import map_file
from gender_pipeline.zoo.torch7 import Table, TorchObject, read_torch7
from torch_files import KINDS, Module, torch7

ON_DISK = settings(deadline=None)  # each example is a file, and the disk may be busy


def read(data: bytes, folder: Path) -> Any:
    path = folder / "network.t7"
    path.write_bytes(data)
    return read_torch7(map_file(path))


def ints(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def longs(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def text(value: str) -> bytes:
    return ints(len(value)) + value.encode()


def torch_object(name: str, number: int = 1) -> bytes:
    return ints(4, number) + text("V 1") + text(name)


def plain(value: Any) -> Any:
    """Give what the writer was given for what the reader gives."""
    if isinstance(value, Table):
        return {key: plain(item) for key, item in value.items.items()}
    return Module(value.class_name, plain(value.fields)) if isinstance(value, TorchObject) else value


SCALARS = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(st.characters(max_codepoint=255), max_size=9)
KEYS = st.floats(2, 99) | st.text("abc", max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.dictionaries(KEYS, inner, max_size=3)
        | st.builds(Module, st.sampled_from(["nn.ReLU", "V", "Blah"]), st.dictionaries(KEYS, inner, max_size=3))
    ),
    max_leaves=8,
)
STORED = torch_object("torch.FloatStorage", 2) + longs(4) + np.arange(4, dtype="<f4").tobytes()
TENSOR = torch_object("torch.FloatTensor")
NETWORK = torch7(
    Module("nn.Linear", {"weight": np.ones((2, 3), np.float32), "modules": [1, "two", True], "none": None})
)


@ON_DISK
@given(value=VALUES)
def test_every_value_comes_back_as_it_was_written(value: Any, tmp_path_factory: Any) -> None:
    assert plain(read(torch7(value), tmp_path_factory.getbasetemp())) == value


@pytest.mark.parametrize("kind", KINDS)
@ON_DISK
@given(data=st.data())
def test_tensors_of_all_kinds_and_shapes_come_back(kind: str, data: Any, tmp_path_factory: Any) -> None:
    array = data.draw(arrays(np.dtype(kind), array_shapes(max_dims=4, max_side=4)))
    found = read(torch7(array), tmp_path_factory.getbasetemp())
    np.testing.assert_array_equal(found, array, strict=True)
    assert not found.flags.writeable


def test_a_tensor_can_begin_within_its_storage_and_have_any_strides(tmp_path: Path) -> None:
    found = read(TENSOR + ints(2) + longs(2, 1, 2, 1, 2) + STORED, tmp_path)
    assert found.tolist() == [[1], [3]]


def test_tensors_of_one_storage_and_of_the_graphics_card_are_read(tmp_path: Path) -> None:
    storage = torch_object("torch.CudaStorage", 3) + longs(2) + np.array([5, 6], "<f4").tobytes()
    first = torch_object("torch.CudaTensor", 2) + ints(1) + longs(2, 1, 1) + storage
    second = torch_object("torch.CudaTensor", 4) + ints(1) + longs(1, 1, 2) + ints(4, 3)
    keys = ints(1) + struct.pack("<d", 1), ints(1) + struct.pack("<d", 2)
    found = read(ints(3, 1, 2) + keys[0] + first + keys[1] + second, tmp_path)
    assert [found.items[key].tolist() for key in (1, 2)] == [[5, 6], [6]]


def test_an_empty_tensor_has_no_storage(tmp_path: Path) -> None:
    assert read(TENSOR + ints(0) + longs(1) + ints(0), tmp_path).shape == (0,)


def test_a_class_name_without_a_version_is_one_of_an_old_file(tmp_path: Path) -> None:
    assert read(ints(4, 1) + text("nn.ReLU") + ints(3, 2, 0), tmp_path).class_name == "nn.ReLU"


@pytest.mark.parametrize("kind", [6, 7, 8])
def test_a_function_is_passed_over_and_its_values_kept(kind: int, tmp_path: Path) -> None:
    number = [] if kind == 6 else [1]
    found = read(ints(kind, *number, 5) + b"\x1bLJ\x01\x00" + ints(5, 1), tmp_path)
    assert (found.class_name, found.fields) == ("function", True)


def test_a_function_can_close_over_itself(tmp_path: Path) -> None:
    found = read(ints(8, 1, 0) + ints(8, 1), tmp_path)
    assert found.fields is found


@ON_DISK
@given(length=st.integers(1, len(NETWORK) - 1))
def test_a_file_cut_short_anywhere_is_refused(length: int, tmp_path_factory: Any) -> None:
    with pytest.raises(ZooError, match=r"cut off|larger than the file|no more than the file holds"):
        read(NETWORK[:length], tmp_path_factory.getbasetemp())


@ON_DISK
@given(position=st.integers(0, len(NETWORK) - 1), byte=st.integers(0, 255))
def test_a_damaged_byte_gives_a_value_or_a_zoo_error(position: int, byte: int, tmp_path_factory: Any) -> None:
    damaged = NETWORK[:position] + bytes([byte]) + NETWORK[position + 1 :]
    with contextlib.suppress(ZooError):
        read(damaged, tmp_path_factory.getbasetemp())


@ON_DISK
@given(data=st.lists(st.sampled_from([ints(n) for n in range(9)] + [longs(1), text("V 1"), TENSOR, STORED])))
def test_parts_in_any_order_give_a_value_or_a_zoo_error(data: list[bytes], tmp_path_factory: Any) -> None:
    with contextlib.suppress(ZooError):
        read(b"".join(data) + ints(0), tmp_path_factory.getbasetemp())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(ints(9), "unknown kind of value 9 at byte 0", id="kind"),
        pytest.param(b"not a file of Torch", "unknown kind of value", id="magic"),
        pytest.param(ints(2, 2**31 - 1), "a string of 2147483647 bytes", id="long string"),
        pytest.param(ints(2, -1), "a string of -1 bytes", id="negative string"),
        pytest.param(ints(3, 1, 2**31 - 1), "a table of 2147483647 items at byte 12", id="long table"),
        pytest.param(ints(3, 1, -1), "a table of -1 items", id="negative table"),
        pytest.param(ints(3, 2, 0), "byte 4 refers to value 2", id="reference forward"),
        pytest.param(ints(3, -1, 0), "byte 4 refers to value -1", id="negative reference"),
        pytest.param(ints(3, 1, 1, 0, 0), "a key twice or one of no use", id="nil as key"),
        pytest.param(ints(3, 1, 2, 5, 1, 0, 5, 1, 0), "a key twice or one of no use", id="key twice"),
        pytest.param(ints(3, 1, 1) + torch_object("torch.FloatTensor", 2) + ints(0) + longs(1) + ints(0, 0),
                     "a key twice or one of no use", id="tensor as key"),
        pytest.param(ints(6, -1), "a function of -1 bytes", id="negative function"),
        pytest.param(ints(6, 2**30), "the file is cut off", id="long function"),
        pytest.param(torch_object("tds.Vec") + longs(2**60), "a table of 1152921504606846976 items", id="long vector"),
        pytest.param(TENSOR + ints(2**30), "a tensor of 1073741824 dimensions", id="dimensions"),
        pytest.param(TENSOR + ints(-1), "a tensor of -1 dimensions", id="negative dimensions"),
        pytest.param(TENSOR + ints(1) + longs(5, 1, 1) + STORED, "reaches past its storage", id="too long"),
        pytest.param(TENSOR + ints(1) + longs(2, 1, 0) + STORED, "has no valid shape", id="offset 0"),
        pytest.param(TENSOR + ints(1) + longs(2**40, 0, 1) + STORED, "reaches past its storage", id="stride 0"),
        pytest.param(TENSOR + ints(1) + longs(1, 1, 1) + ints(5, 1), "without a storage of its type", id="no storage"),
        pytest.param(TENSOR + ints(1) + longs(1, 1, 1) + ints(4, 1), "refers to value 1", id="its own storage"),
        pytest.param(TENSOR + ints(1) + longs(1, 1, 1) + torch_object("nn.ReLU", 2) + ints(5, 1),
                     "without a storage of its type", id="storage of no type"),
        pytest.param(torch_object("torch.LongTensor") + ints(1) + longs(1, 1, 1) + STORED,
                     "a torch.LongTensor without a storage of its type", id="storage of another type"),
        pytest.param(torch_object("torch.FloatStorage") + longs(2**60), "a storage is larger than the file", id="huge"),
        pytest.param(torch_object("torch.ByteStorage") + longs(-1), "a storage is larger than the file", id="negative"),
        pytest.param(torch_object("nn.Linear"), "the file is cut off", id="no fields"),
    ],
)  # fmt: skip
def test_a_file_that_lies_about_its_content_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=message):
        read(data, tmp_path)


def test_values_nested_too_deep_or_too_many_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nested = b"".join(ints(3, number, 1, 5, 1) for number in range(1, 2 * reader.MAX_DEPTH))
    with pytest.raises(ZooError, match="nests or counts too many values; expected 100 deep"):
        read(nested + ints(0), tmp_path)
    monkeypatch.setattr(reader, "MAX_VALUES", 9)
    with pytest.raises(ZooError, match="nests or counts too many values"):
        read(torch7(list(range(9))), tmp_path)


@pytest.mark.real_data
def test_the_files_of_a_torch7_reader_are_read(real_data: Path) -> None:
    found = {path.stem: read_torch7(map_file(path)) for path in (real_data / "torch7").glob("*.t7")}
    assert len(found) == 15
    assert found["doubletensor"].tolist() == [[1, 2, 3], [4, 5, 6.9]]
    assert (found["floattensor"].shape, found["floattensor"].dtype) == ((2, 3, 4), np.float32)
    assert found["hello=123"].items == {"hello": 123}
    assert found["list_table"].items == {1: "hello", 2: "world", 3: "third item", 4: 123}
    assert found["map_table1"].items[0] == "zero"
    assert found["map_table2"].items["a"] == "non number key"
    assert found["recursive_class"].fields.items["a"] is found["recursive_class"]
    assert list(found["recursive_kv_table"].items) == [found["recursive_kv_table"]]
    assert plain(found["custom_class"]) == Module("Blah")
    assert plain(found["function"]) == Module("function")
    assert plain(found["function_upvals"]) == Module("function", {1: {"name": "asdf", "value": 123}})
    assert plain(found["nngraph_node"]).fields["data"]["annotations"]["hello"] == 123
    assert plain(found["tds_hash"]).fields == {2: 3, 10: 11, 1: 2}
    assert plain(found["tds_vec"]).fields == {1: 123, 2: 456}


@pytest.mark.real_data
def test_the_modules_of_a_real_graph_have_their_weights(real_data: Path) -> None:
    graph = read_torch7(map_file(real_data / "torch7" / "gmodule_with_linear_identity.t7"))
    modules = list(graph.fields.items["modules"].items.values())
    linear = next(module for module in modules if module.class_name == "nn.Linear").fields.items
    assert linear["weight"].shape == (2, 1)
    assert linear["bias"].tolist() == pytest.approx([0.05159848, -0.25367146])
    assert {module.class_name for module in modules} == {"nn.Identity", "nn.Linear", "nn.CAddTable"}
