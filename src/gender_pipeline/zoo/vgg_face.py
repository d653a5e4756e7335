"""Convert the published VGG-Face weights, from Torch or PyTorch, to a safetensors file with Keras' names and axes.

VGG-Face (Parkhi, Vedaldi and Zisserman, Deep Face Recognition, BMVC 2015) is VGG16 trained on the faces of 2,622
people. Its 13 convolutions are converted; the three fully connected layers tell those people apart and are left out.

The colours: the Torch and Caffe files expect BGR pixels from which the mean (R 129.1863, G 104.7624, B 93.5940) has
been taken; the files are conversions of a MatConvNet original that expects RGB. What is written here always holds the
kernels for BGR, `color_order` of the spec `vgg_face`; `build_backbone` turns the first one round, for RGB pixels.
"""

import json
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import ZooError, examples
from gender_pipeline.files import atomic_path, file_digest
from gender_pipeline.zoo.archive_member import map_member
from gender_pipeline.zoo.mapped import map_file
from gender_pipeline.zoo.torch7 import Table, TorchObject, read_torch7
from gender_pipeline.zoo.torch_weights import read_torch_file

ColorOrder = Literal["BGR", "RGB"]

LICENCE: Final = (
    "The VGG-Face weights are the work of the Visual Geometry Group, University of Oxford, who offer them for"
    " non-commercial research under a Creative Commons Attribution licence; read the terms where you got the file."
)
"""As third parties quote the page the weights come from, robots.ox.ac.uk/~vgg/software/vgg_face."""

ARCHIVE_MEMBER: Final = "VGG_FACE.t7"
_WIDTHS: Final = (64, 128, 256, 512, 512)  # output channels of the five blocks
_BLOCK_SIZES: Final = (2, 2, 3, 3, 3)
_LAYERS: Final = [(block, unit) for block, size in enumerate(_BLOCK_SIZES, 1) for unit in range(1, size + 1)]
# Where torchvision's VGG16 has its convolutions between activations and pooling.
_FEATURES: Final = dict(zip((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), _LAYERS, strict=True))
_WEIGHT: Final = {"weight": "kernel", "bias": "bias"}
# conv1_1 in most conversions, conv_1_1 in some; either can be inside other modules.
_CONV_NAME: Final = re.compile(r"(?:\w+\.)*conv_?([1-5])_([1-3])\.(weight|bias)")
_FEATURES_NAME: Final = re.compile(r"(?:\w+\.)*features\.(\d{1,2})\.(weight|bias)")
_EXCEPTED: Final = re.compile(r"(?:\w+\.)*(?:fc_?[678]|classifier\.\d)\.(?:weight|bias)")
_KINDS: Final = {
    "nn.SpatialConvolution": "conv",
    "nn.SpatialConvolutionMM": "conv",
    "cudnn.SpatialConvolution": "conv",
    "nn.Linear": "fc",
}
_GZIP_MAGIC: Final = b"\x1f\x8b"
_TORCH7_MAGIC: Final = b"\x04\0\0\0"  # an object; the others are no networks


def convert_vgg_face(source: Path, destination: Path, color_order: ColorOrder = "BGR") -> None:
    """Convert the weights of VGG-Face; the destination is replaced when all of them are there.

    Args:
        source: `VGG_FACE.t7`, the published `vgg_face_torch.tar.gz` around it, or a PyTorch state dictionary whose
            names are `conv1_1.weight`, `conv_1_1.weight` or those of torchvision's VGG16, `features.0.weight`.
        destination: The safetensors file: `block1_conv1/kernel` (3, 3, 3, 64) to `block5_conv3/kernel`
            (3, 3, 512, 512), height, width, in, out, and the biases (out,), float32; 59 MB. Its metadata hold
            `source`, `source_sha256`, `color_order` (always `BGR`) and `licence`.
        color_order: The order in which the source's first kernel expects the channels. The file cannot tell: those of
            Torch and what was converted from them have BGR; `vgg_face_dag.pth`, made from MatConvNet, has RGB.

    Raises:
        ZooError: The source is no such file, lacks a tensor, has one that belongs nowhere, or one of another shape or
            with values that are not finite; or the destination cannot be written.
    """
    weights = to_keras(read_source(source, destination.parent))
    if color_order == "RGB":
        weights["block1_conv1/kernel"] = np.ascontiguousarray(weights["block1_conv1/kernel"][:, :, ::-1])
    metadata = {
        "source": source.name,
        "source_sha256": file_digest(source),
        "color_order": "BGR",
        "licence": LICENCE,
    }
    try:
        with atomic_path(destination) as temporary:
            _write_safetensors(temporary, weights, metadata)
    except OSError as error:
        raise ZooError(f"cannot write {destination}", received=str(error), remedy="name another file") from error


def _write_safetensors(path: Path, tensors: Mapping[str, NDArray[np.float32]], metadata: Mapping[str, str]) -> None:
    """Write a header in JSON after its length, then the arrays: the same bytes for the same input.

    The library's own `save_file` puts the metadata in another order at each call.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    position = 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": (position, position + tensor.nbytes)}
        position += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays are aligned
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.astype("<f4", copy=False).data)


def read_source(source: Path, scratch: Path) -> dict[str, NDArray[Any]]:
    """Read the tensors of a VGG-Face file under PyTorch's names.

    Args:
        source: As for `convert_vgg_face`.
        scratch: Existing folder for the temporary file, without a name, that holds an archive's member.

    Returns:
        Arrays of the source's shapes and types, read-only views into the file.

    Raises:
        ZooError: The file cannot be read as any of the formats.
    """
    buffer = map_file(source)
    if buffer[:2] != _GZIP_MAGIC and buffer[:4] != _TORCH7_MAGIC:
        return read_torch_file(source)
    try:
        if buffer[:2] == _GZIP_MAGIC:
            buffer = map_member(source, ARCHIVE_MEMBER, scratch)
        return name_tensors(read_torch7(buffer))
    except (ZooError, EOFError, OSError, zlib.error, tarfile.TarError) as error:
        raise ZooError(
            f"cannot read weights from {source.name}",
            expected=f"{ARCHIVE_MEMBER}, or the tar.gz archive it is published in",
            received=str(error),
        ) from error


def name_tensors(network: Any) -> dict[str, NDArray[Any]]:
    """Name the weights of a Torch7 network by their place in it.

    Args:
        network: What `read_torch7` gives for an `nn.Sequential`, which may have others in it.

    Returns:
        `conv1_1.weight`, `conv1_1.bias` for the first convolution to `conv5_3` for the 13th, `fc6` to `fc8` for the
        fully connected ones; whatever else has a weight under the name of its place and class.

    Raises:
        ZooError: It is no network.
    """
    if not isinstance(network, TorchObject) or "modules" not in _fields(network):
        raise ZooError("the file holds no network", expected="an nn.Sequential with its modules")
    names = {"conv": [f"conv{block}_{unit}" for block, unit in _LAYERS], "fc": ["fc6", "fc7", "fc8"]}
    tensors = {}
    for place, module in enumerate(_modules(network, set())):
        # A 14th convolution or 4th Linear finds no name left, and shows as a tensor without a weight.
        left = names.get(_KINDS.get(module.class_name, ""))
        name = left.pop(0) if left else f"{place}.{module.class_name}"
        for weight in ("weight", "bias"):
            if isinstance(_fields(module).get(weight), np.ndarray):
                tensors[f"{name}.{weight}"] = _fields(module)[weight]
    return tensors


def _fields(module: TorchObject) -> dict[Any, Any]:
    return module.fields.items if isinstance(module.fields, Table) else {}


def _modules(module: TorchObject, seen: set[int]) -> Iterator[TorchObject]:
    """Yield a module and those in it in their order; one that a hostile file repeats comes once."""
    if id(module) in seen:
        return
    seen.add(id(module))
    yield module
    inner = _fields(module).get("modules")
    for item in inner.items.values() if isinstance(inner, Table) else ():
        if isinstance(item, TorchObject):
            yield from _modules(item, seen)


def to_keras(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Turn the tensors of VGG-Face into Keras' names and axes; all of them, or an error.

    Args:
        tensors: By PyTorch's names; kernels (out, in, height, width) or (out, in * height * width), biases (out,).

    Returns:
        The 26 weights of Keras' VGG16 without its top, by path, float32.

    Raises:
        ZooError: A weight has no tensor or two, a tensor that is not excepted has no weight, a shape differs, or
            values are not finite.
    """
    wanted = _wanted_shapes()
    names = {name: _keras_path(name) for name in tensors}
    missing = sorted(wanted.keys() - names.values())
    left = [name for name, path in names.items() if path not in wanted and not _EXCEPTED.fullmatch(name)]
    taken = [path for path in names.values() if path in wanted]
    twice = sorted({path for path in taken if taken.count(path) > 1})
    if missing or left or twice:
        raise ZooError(
            "the tensors are not those of VGG-Face",
            received=f"weights without a tensor: [{examples(missing)}], tensors without a weight: [{examples(left)}],"
            f" weights with two tensors: [{examples(twice)}]",
        )
    return {path: _convert(name, tensors[name], wanted[path]) for name, path in names.items() if path in wanted}


def _wanted_shapes() -> dict[str, tuple[int, ...]]:
    """Give the shapes of Keras' weights by path."""
    shapes: dict[str, tuple[int, ...]] = {}
    n_inputs = 3
    for block, unit in _LAYERS:
        n_outputs = _WIDTHS[block - 1]
        shapes[f"block{block}_conv{unit}/kernel"] = (3, 3, n_inputs, n_outputs)
        shapes[f"block{block}_conv{unit}/bias"] = (n_outputs,)
        n_inputs = n_outputs
    return shapes


def _keras_path(name: str) -> str:
    if match := _CONV_NAME.fullmatch(name):
        block, unit, weight = match.groups()
        return f"block{block}_conv{unit}/{_WEIGHT[weight]}"
    if (match := _FEATURES_NAME.fullmatch(name)) and int(match[1]) in _FEATURES:
        block, unit = _FEATURES[int(match[1])]
        return f"block{block}_conv{unit}/{_WEIGHT[match[2]]}"
    return ""


def _convert(name: str, tensor: NDArray[Any], wanted: tuple[int, ...]) -> NDArray[np.float32]:
    height, width, n_inputs, n_outputs = wanted if len(wanted) == 4 else (1, 1, 1, *wanted)
    kernel = (n_outputs, n_inputs, height, width)
    possible = (kernel, (n_outputs, n_inputs * height * width)) if len(wanted) == 4 else (wanted,)
    if tensor.shape not in possible:
        raise ZooError(
            f"tensor {name} has another shape", expected=" or ".join(map(str, possible)), received=str(tensor.shape)
        )
    with np.errstate(over="ignore"):  # a float64 too large for float32 becomes infinite and is refused
        values = tensor.astype(np.float32)
    if not np.isfinite(values).all():
        raise ZooError(f"tensor {name} has values that are not finite numbers")
    return np.ascontiguousarray(values.reshape(kernel).transpose(2, 3, 1, 0)) if len(wanted) == 4 else values
