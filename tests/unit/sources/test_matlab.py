import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gender_pipeline.errors import SourceError
from gender_pipeline.sources.matlab import read_mat

LIMIT = 1 << 20
HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"


def saved(compress: bool = True, **variables: Any) -> bytes:
    from scipy.io import savemat

    file = io.BytesIO()
    savemat(file, variables, do_compression=compress)
    return file.getvalue()


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(kind: int, shape: tuple[int, ...], *content: bytes, name: bytes = b"x") -> bytes:
    flags = element(6, struct.pack("<II", kind, 0))
    sizes = element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, flags + sizes + element(1, name) + b"".join(content))


def column(*values: Any) -> np.ndarray:
    cell = np.empty((len(values), 1), object)
    cell[:, 0] = values
    return cell


@pytest.mark.parametrize("compress", [True, False])
def test_numbers_texts_cells_and_structs_come_back_as_scipy_wrote_them(compress: bool) -> None:
    numbers = np.arange(6, dtype=np.int16).reshape(2, 3)
    value = {"numbers": numbers, "text": "Größe 女", "cell": column("a", np.array([[1.5]])), "inner": {"x": 7}}
    data = saved(compress, other=1, value=value, last="z")
    found = read_mat(data, "a.mat", "value", LIMIT)
    np.testing.assert_array_equal(found["numbers"], numbers)
    assert found["text"] == "Größe 女"
    assert found["cell"][0] == "a"
    assert found["cell"][1] == 1.5
    assert found["inner"]["x"] == 7


@given(
    rows=st.integers(0, 4),
    columns=st.integers(0, 4),
    dtype=st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]),
    compress=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_an_array_of_any_size_and_type_comes_back_equal(rows: int, columns: int, dtype: str, compress: bool) -> None:
    array = np.arange(rows * columns).reshape(rows, columns).astype(dtype)
    np.testing.assert_array_equal(read_mat(saved(compress, x=array), "a.mat", "x", LIMIT), array)


def test_a_struct_array_is_a_list_of_its_structs() -> None:
    array = np.zeros((1, 2), [("a", object)])
    array["a"][0] = ["first", "second"]
    assert read_mat(saved(x=array), "a.mat", "x", LIMIT) == [{"a": "first"}, {"a": "second"}]


def test_a_file_of_the_other_byte_order_is_read() -> None:
    content = struct.pack(">II", 6, 8) + struct.pack(">II", 6, 0) + struct.pack(">II", 5, 8) + struct.pack(">ii", 1, 1)
    content += struct.pack(">HH", 1, 1) + b"x\0\0\0" + struct.pack(">HH", 2, 3) + struct.pack(">h", 258) + b"\0\0"
    data = HEADER[:124] + b"\x01\x00MI" + struct.pack(">II", 14, len(content)) + content
    assert read_mat(data, "a.mat", "x", LIMIT) == 258


@pytest.mark.parametrize("kind", [3, 5, 16, 17, 99], ids=["object", "sparse", "function", "opaque", "unknown"])
def test_objects_and_function_handles_are_passed_over(kind: int) -> None:
    handle = matrix(kind, (1, 1), element(1, b"system"), name=b"")
    data = HEADER + matrix(1, (1, 2), handle, matrix(4, (1, 1), element(16, b"a"), name=b""))
    assert read_mat(data, "a.mat", "x", LIMIT) == [None, "a"]


@pytest.mark.parametrize("header", [b"MATLAB 7.3 MAT-file, Platform", b"MATLAB".ljust(512) + b"\x89HDF\r\n\x1a\n"])
def test_version_7_3_is_an_error_that_says_how_to_save_the_file(header: bytes) -> None:
    with pytest.raises(SourceError, match=r"a.mat is a MATLAB 7.3 .* expected version 5; .*save it again with -v7"):
        read_mat(header.ljust(1000), "a.mat", "x", LIMIT)


def test_a_variable_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"a.mat has no variable RAP; use the data set's original file"):
        read_mat(saved(x=1), "a.mat", "RAP", LIMIT)


def nested(levels: int) -> bytes:
    """Cells in cells, written from the outermost size inwards, for nesting by copies would take quadratic time."""
    head = matrix(1, (1, 1))[8:]
    inner = matrix(6, (1, 1), element(9, bytes(8)))
    sizes = [len(inner) + len(head) + level * (len(head) + 8) for level in range(levels)]
    return b"".join(struct.pack("<II", 14, size) + head for size in reversed(sizes)) + inner


@pytest.mark.parametrize("levels", [9, 100_000])
def test_deep_nesting_is_an_error_and_does_not_end_the_process(levels: int) -> None:
    with pytest.raises(SourceError, match="more than 8 levels"):
        read_mat(HEADER + nested(levels), "a.mat", "x", LIMIT)


def test_what_decompresses_beyond_the_bound_is_an_error() -> None:
    packed = zlib.compress(matrix(6, (1, 1), element(9, bytes(2 * LIMIT))))
    bomb = HEADER + struct.pack("<II", 15, len(packed)) + packed
    with pytest.raises(SourceError, match="over 1 MiB once decompressed"):
        read_mat(bomb, "a.mat", "x", LIMIT)


@pytest.mark.parametrize(
    "content",
    [
        matrix(1, (2**31 - 1, 2**31 - 1)),
        matrix(1, (1, 3), matrix(6, (0, 0), element(9, b""))),
        matrix(6, (2, 2), element(9, bytes(8))),
        matrix(6, (-1, 1), element(9, bytes(8))),
        matrix(6, (1, 1), element(8, bytes(8))),
        matrix(2, (2**30, 4), element(5, struct.pack("<i", 8)), element(1, b"")),
        matrix(2, (1, 1), element(5, struct.pack("<i", 0)), element(1, b"abc")),
        matrix(2, (1, 1)),
        matrix(4, (1, 1), element(16, b"\xff")),
        struct.pack("<II", 14, 2**31),
        struct.pack("<II", 15, 4) + b"nope",
        struct.pack("<II", 15, 20) + zlib.compress(bytes(40))[:-1].ljust(20),
    ],
)  # fmt: skip
def test_announcements_that_do_not_hold_are_errors(content: bytes) -> None:
    with pytest.raises(SourceError, match=r"a.mat is damaged or no MATLAB file.*fetch it again"):
        read_mat(HEADER + content, "a.mat", "x", LIMIT)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_or_cut_file_gives_a_value_or_one_line(data: st.DataObject) -> None:
    whole = bytearray(saved(data.draw(st.booleans()), x={"a": column("b", np.eye(2)), "c": "d"}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_mat(bytes(whole[: data.draw(st.integers(0, len(whole)))]), "a.mat", "x", LIMIT)
    except SourceError as error:
        assert "\n" not in str(error)  # noqa: PT017
