"""The weights of VGG-Face are converted whole, whatever they are packed and named as, or not at all."""

import contextlib
import gzip
import io
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from gender_pipeline.__main__ import main
from gender_pipeline.errors import ZooError
from gender_pipeline.files import file_digest
from gender_pipeline.zoo import archive_member, vgg_face
from gender_pipeline.zoo.torch7 import Table, TorchObject
from gender_pipeline.zoo.vgg_face import convert_vgg_face, name_tensors, read_source, to_keras
from torch_files import VGG_NAMES, VGG_WIDTHS, Module, state_dict, torch7, vgg_network, vgg_tensors, write_vgg

FEATURES = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
SMALL = torch7(Module("nn.Sequential", {"modules": [Module("nn.Linear", {"weight": np.ones((2, 3), np.float32)})]}))
ON_DISK = settings(deadline=None)  # each example is a file, and the disk may be busy


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return vgg_tensors()


@pytest.fixture(scope="module")
def source(tensors: dict[str, np.ndarray], tmp_path_factory: Any) -> Path:
    return write_vgg(tmp_path_factory.mktemp("vgg") / "VGG_FACE.t7", tensors)


@pytest.fixture
def empty() -> dict[str, np.ndarray]:
    """Give tensors of the right shapes that cost no memory, under PyTorch's usual names."""
    shapes = {}
    for name, (n_in, n_out) in zip(VGG_NAMES, VGG_WIDTHS, strict=True):
        shapes |= {f"conv{name}.weight": (n_out, n_in, 3, 3), f"conv{name}.bias": (n_out,)}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def tar_gz(members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data), kind
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def read(data: bytes, folder: Path) -> dict[str, np.ndarray]:
    path = folder / "source"
    path.write_bytes(data)
    return read_source(path, folder)


def renamed(tensors: dict[str, Any], rename: Any) -> dict[str, Any]:
    return {rename(*re.fullmatch(r"conv(\d)_(\d)\.(\w+)", name).groups()): array for name, array in tensors.items()}


def test_every_kernel_is_turned_from_torch_to_keras(source: Path, tensors: dict[str, Any], tmp_path: Path) -> None:
    convert_vgg_face(source, tmp_path / "vgg.safetensors")
    found = load_file(tmp_path / "vgg.safetensors")
    assert len(found) == 26
    for name in VGG_NAMES:
        layer = f"block{name[0]}_conv{name[2]}"
        np.testing.assert_array_equal(found[f"{layer}/kernel"], tensors[f"{name}.weight"].transpose(2, 3, 1, 0))
        np.testing.assert_array_equal(found[f"{layer}/bias"], tensors[f"{name}.bias"], strict=True)


def test_the_file_says_where_it_comes_from_and_under_what_licence(source: Path, tmp_path: Path) -> None:
    convert_vgg_face(source, tmp_path / "vgg.safetensors")
    with safe_open(tmp_path / "vgg.safetensors", "np") as file:
        assert file.metadata() == {
            "source": "VGG_FACE.t7",
            "source_sha256": file_digest(source),
            "color_order": "BGR",
            "licence": vgg_face.LICENCE,
        }


def test_two_conversions_give_the_same_bytes(source: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        convert_vgg_face(source, tmp_path / f"{name}.safetensors")
    assert file_digest(tmp_path / "a.safetensors") == file_digest(tmp_path / "b.safetensors")


def test_kernels_for_rgb_are_stored_for_bgr(source: Path, tensors: dict[str, Any], tmp_path: Path) -> None:
    convert_vgg_face(source, tmp_path / "vgg.safetensors", "RGB")
    kernel = load_file(tmp_path / "vgg.safetensors")["block1_conv1/kernel"]
    np.testing.assert_array_equal(kernel, tensors["1_1.weight"][:, ::-1].transpose(2, 3, 1, 0))


@pytest.mark.parametrize(
    "rename",
    [
        lambda block, unit, weight: f"conv{block}_{unit}.{weight}",
        lambda block, unit, weight: f"conv_{block}_{unit}.{weight}",
        lambda block, unit, weight: f"module.features.conv_{block}_{unit}.{weight}",
        lambda block, unit, weight: f"features.{FEATURES[VGG_NAMES.index(f'{block}_{unit}')]}.{weight}",
        lambda block, unit, weight: f"module.features.{FEATURES[VGG_NAMES.index(f'{block}_{unit}')]}.{weight}",
    ],
)
def test_the_names_of_the_usual_conversions_are_known(rename: Any, empty: dict[str, Any]) -> None:
    assert set(to_keras(renamed(empty, rename))) == set(to_keras(empty))


@pytest.mark.parametrize("layer", ["fc6", "fc7", "fc8", "fc_6", "module.fc6", "classifier.0", "classifier.6"])
def test_the_layers_that_tell_people_apart_are_left_out(layer: str, empty: dict[str, Any]) -> None:
    extra = {f"{layer}.weight": np.ones((2, 3)), f"{layer}.bias": np.ones(2)}
    assert len(to_keras(empty | extra)) == 26


def test_tensors_that_are_missing_or_too_many_are_listed(empty: dict[str, Any]) -> None:
    del empty["conv3_2.bias"]
    with pytest.raises(ZooError, match=r"without a tensor: \[block3_conv2/bias\].* without a weight: \[bn\.weight\]"):
        to_keras(empty | {"bn.weight": np.ones(3)})


def test_two_tensors_for_one_weight_are_refused(empty: dict[str, Any]) -> None:
    with pytest.raises(ZooError, match=r"weights with two tensors: \[block1_conv1/bias\]"):
        to_keras(empty | {"conv_1_1.bias": np.zeros(64)})


@pytest.mark.parametrize("name", ["conv4_1.weight", "conv4_1.bias"])
def test_a_tensor_of_another_shape_is_refused(name: str, empty: dict[str, Any]) -> None:
    with pytest.raises(ZooError, match=rf"tensor {name} has another shape; expected \(512,.*received \(7,\)"):
        to_keras(empty | {name: np.zeros(7)})


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_refused(value: float, empty: dict[str, Any]) -> None:
    with pytest.raises(ZooError, match=r"tensor conv1_1\.bias has values that are not finite"):
        to_keras(empty | {"conv1_1.bias": np.full(64, value)})


def test_half_and_double_precision_become_single(empty: dict[str, Any]) -> None:
    biases = {"conv1_1.bias": np.full(64, 0.5, np.float16), "conv1_2.bias": np.full(64, 0.5)}
    found = to_keras(empty | biases)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    assert found["block1_conv1/bias"][0] == found["block1_conv2/bias"][0] == 0.5


def test_networks_inside_the_network_are_walked_in_order(tensors: dict[str, Any], tmp_path: Path) -> None:
    modules = vgg_network(tensors).fields["modules"]
    parts = [Module("nn.Sequential", {"modules": part}) for part in (modules[:9], modules[9:])]
    found = read(torch7(Module("nn.Sequential", {"modules": parts})), tmp_path)
    assert list(found)[:2] == ["conv1_1.weight", "conv1_1.bias"]
    np.testing.assert_array_equal(found["conv5_3.bias"], tensors["5_3.bias"])


def test_a_network_that_holds_itself_is_walked_once() -> None:
    modules = Table()
    network = TorchObject("nn.Sequential", Table({"modules": modules}))
    modules.items |= {1.0: network, 2.0: TorchObject("nn.ReLU"), 3.0: "text"}
    assert name_tensors(network) == {}


def test_weights_of_another_network_are_named_by_place_and_class(tmp_path: Path) -> None:
    layers = [
        Module(name, {"weight": np.ones(3, np.float32)}) for name in ("nn.BatchNormalization", *["nn.Linear"] * 4)
    ]
    found = read(torch7(Module("nn.Sequential", {"modules": layers})), tmp_path)
    assert list(found) == [
        "1.nn.BatchNormalization.weight",
        *(f"fc{n}.weight" for n in (6, 7, 8)),
        "5.nn.Linear.weight",
    ]


def test_the_published_archive_is_read_without_unpacking_it_by_name(tmp_path: Path) -> None:
    members = {
        "vgg_face_torch/names.txt": b"A\nB\n",
        "../../vgg/VGG_FACE.t7": SMALL,
        "vgg_face_torch/ak.png": b"p" * 999,
    }
    assert read(tar_gz(members), tmp_path)["fc6.weight"].shape == (2, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "received 0 bytes", id="empty"),
        pytest.param(b"<html>not found</html>", "cannot read weights from source", id="a page"),
        pytest.param(torch7(Module("nn.ReLU")), "the file holds no network", id="no network"),
        pytest.param(torch7(Module("nn.Sequential", {"modules": []}))[:-9], "cut off", id="cut off"),
        pytest.param(tar_gz({"vgg_face_torch/ak.png": b"p"}), "no member VGG_FACE.t7", id="no member"),
        pytest.param(tar_gz({"VGG_FACE.t7": b""}), "VGG_FACE.t7 has 0 bytes", id="empty member"),
        pytest.param(tar_gz({"VGG_FACE.t7": SMALL}, tarfile.SYMTYPE), "no member VGG_FACE.t7", id="link"),
        pytest.param(tar_gz({"VGG_FACE.t7": SMALL})[:150], "Compressed file ended", id="cut off archive"),
        pytest.param(tar_gz({"VGG_FACE.t7": SMALL})[:-8] + bytes(8), "CRC check failed", id="damaged archive"),
        pytest.param(gzip.compress(b"no tar" * 999), "bad checksum|invalid header", id="no tar"),
        pytest.param(gzip.compress(gzip.decompress(tar_gz({"VGG_FACE.t7": SMALL}))[:600]), "cut off", id="cut off tar"),
    ],
)
def test_a_source_of_another_kind_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=message):
        read(data, tmp_path)


def test_archives_that_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_member, "MAX_FILE_BYTES", 2**20)
    bomb = bytes(2**21)
    for members, message in (
        ({"VGG_FACE.t7": bomb}, "VGG_FACE.t7 has 2097152 bytes"),
        ({"a": bomb, "VGG_FACE.t7": SMALL}, "no member VGG_FACE.t7; expected one within 1048576 bytes"),
        ({"VGG_FACE.t7": SMALL, "z": bomb}, "the archive is too long"),
    ):
        with pytest.raises(ZooError, match=message):
            read(tar_gz(members), tmp_path)


ARCHIVED = tar_gz({"names.txt": b"A\n", "VGG_FACE.t7": SMALL})
TARRED = gzip.decompress(ARCHIVED)


@ON_DISK
@given(data=st.data(), byte=st.integers(0, 255), inside=st.booleans())
def test_a_damaged_archive_gives_tensors_or_a_zoo_error(
    data: Any, byte: int, inside: bool, tmp_path_factory: Any
) -> None:
    whole = TARRED[:2048] if inside else ARCHIVED
    position = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:position] + bytes([byte]) + whole[position + 1 :]
    with contextlib.suppress(ZooError):
        read(gzip.compress(damaged) if inside else damaged, tmp_path_factory.getbasetemp())


def test_the_command_says_where_the_weights_are_and_how_to_use_them(source: Path, tmp_path: Path) -> None:
    destination = tmp_path / "new" / "vgg_face.safetensors"
    result = CliRunner().invoke(main, ["convert-weights", "vgg-face", str(source), str(destination)])
    assert result.exit_code == 0, result.output
    assert "non-commercial" in result.output
    assert result.output.splitlines()[-1].endswith(f"`backbone: vgg_face` and `weights: {destination}`")
    assert destination.is_file()


def test_the_command_fails_in_one_line_and_keeps_what_was_there(tmp_path: Path) -> None:
    destination = tmp_path / "vgg_face.safetensors"
    destination.write_bytes(b"old")
    source = tmp_path / "other.t7"
    source.write_bytes(SMALL)
    result = CliRunner().invoke(main, ["convert-weights", "vgg-face", str(source), str(destination)])
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert "weights without a tensor: [block1_conv1/bias" in result.output
    assert destination.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.t7", "vgg_face.safetensors"]


def test_a_destination_that_cannot_be_written_is_one_line(tmp_path: Path, empty: dict[str, Any]) -> None:
    (tmp_path / "taken.safetensors").mkdir()
    source = tmp_path / "vgg.pth"
    source.write_bytes(state_dict({name: np.zeros(array.shape, np.float32) for name, array in empty.items()}))
    with pytest.raises(ZooError, match=r"cannot write .*taken\.safetensors"):
        convert_vgg_face(source, tmp_path / "taken.safetensors")


@pytest.mark.parametrize(
    "arguments",
    [["vgg-face", "none.t7", "x.safetensors"], ["vgg-face", ".", "x.safetensors"], ["vgg-face"], ["other", "a", "b"]],
)
def test_wrong_use_of_the_command_ends_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["convert-weights", *arguments]).exit_code == 2


def test_a_destination_of_another_kind_is_wrong_use(source: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["convert-weights", "vgg-face", str(source), str(tmp_path / "vgg.h5")])
    assert result.exit_code == 2
    assert "does not end in .safetensors" in result.output
