"""Write the files of Torch7 and of PyTorch that the tests read, in code, so that no real weights are needed."""

import io
import pickle
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
DICT = b"ccollections\nOrderedDict\n)R"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
KINDS = {"f": "Float", "d": "Double", "e": "Half", "q": "Long", "i": "Int", "B": "Byte"}


def code(value: object) -> bytes:
    """Give the opcodes which put a plain value on a pickle's stack."""
    return pickle.dumps(value, protocol=2)[2:-1]


def tensor(key: str, n_values: int, shape: Any, strides: Any, *, offset: int = 0, kind: str = "Float") -> bytes:
    """Give the opcodes of a tensor as torch writes them before 1.6."""
    pid = code("storage") + f"ctorch\n{kind}Storage\n".encode() + code(key) + code("cpu") + code(n_values)
    arguments = b"(" + pid + b"NtQ" + code(offset) + code(shape) + code(strides) + b"\x89" + DICT
    return REBUILD + b"(" + arguments + b"tR"


def values(*numbers: float, kind: str = "f") -> bytes:
    """Give a storage of the format before 1.6: the count of values, then the values."""
    return struct.pack("<q", len(numbers)) + struct.pack(f"<{len(numbers)}{kind}", *numbers)


def torch_file(tensors: bytes, keys: object, storages: bytes, *, head: Any = (MAGIC, 1001, SYSTEM)) -> bytes:
    """Give a torch file of the format before 1.6; `tensors` are the opcodes of a dictionary's items."""
    start = b"".join(pickle.dumps(value, protocol=2) for value in head)
    return start + b"\x80\x02" + DICT + b"(" + tensors + b"u." + pickle.dumps(keys, protocol=2) + storages


def torch_zip(tensors: bytes, storages: dict[str, bytes], *, others: dict[str, bytes] | None = None) -> bytes:
    """Give a torch file of the format since 1.6; `others` are further members, `data.pkl` replaces the pickle."""
    pickled = b"\x80\x02" + DICT + b"(" + tensors + b"u."
    members = {"data.pkl": pickled, "byteorder": b"little"} | (others or {})
    members |= {f"data/{key}": storage for key, storage in storages.items()} | {"version": b"3\n"}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name if name.startswith(("/", "..", "other/")) else f"weights/{name}", data)
    return file.getvalue()


def state_dict(arrays: dict[str, np.ndarray]) -> bytes:
    """Give the file of a state dictionary as torch 1.6 and later write it."""
    items = b""
    for key, (name, array) in enumerate(arrays.items()):
        strides = tuple(step // array.itemsize for step in array.strides)
        kind = KINDS[array.dtype.char]
        items += code(name) + tensor(str(key), array.size, array.shape, strides, kind=kind)
    return torch_zip(items, {str(key): array.tobytes() for key, array in enumerate(arrays.values())})


@dataclass
class Module:
    """An object of a Torch7 class."""

    class_name: str
    fields: dict[Any, Any] = field(default_factory=dict)


class Torch7Writer:
    """Writes what torch.save of Lua's Torch does: numbers for tables and objects, counted in the order of the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no id is used twice

    def write(self, value: Any) -> None:
        if value is None:
            self._ints(0)
        elif isinstance(value, bool):
            self._ints(5, int(value))
        elif isinstance(value, int | float):
            self._ints(1)
            self._file.write(struct.pack("<d", value))
        elif isinstance(value, str):
            self._ints(2)
            self._text(value)
        elif isinstance(value, list):
            self.write(dict(enumerate(value, 1)))
        elif self._new(value, 3 if isinstance(value, dict) else 4):
            self._body(value)

    def _new(self, value: Any, kind: int) -> bool:
        known = self._numbers.get(id(value))
        self._kept.append(value)
        self._numbers.setdefault(id(value), len(self._numbers) + 1)
        self._ints(kind, self._numbers[id(value)])
        return known is None

    def _body(self, value: Any) -> None:
        if isinstance(value, dict):
            self._ints(len(value))
            for key, item in value.items():
                self.write(key)
                self.write(item)
        elif isinstance(value, Module):
            self._class(value.class_name)
            self.write(value.fields)
        else:
            self._tensor(value)

    def _tensor(self, array: np.ndarray) -> None:
        kind = KINDS[array.dtype.char]
        self._class(f"torch.{kind}Tensor")
        self._ints(array.ndim)
        strides = [step // array.itemsize for step in array.strides]
        self._file.write(struct.pack(f"<{2 * array.ndim + 1}q", *array.shape, *strides, 1))
        if not array.size:
            self._ints(0)
        elif self._new(base := Storage(array), 4):
            self._class(f"torch.{kind}Storage")
            self._file.write(struct.pack("<q", base.array.size))
            self._file.write(memoryview(base.array).cast("B"))

    def _class(self, name: str) -> None:
        self._text("V 1")
        self._text(name)

    def _text(self, text: str) -> None:
        self._ints(len(text))
        self._file.write(text.encode("latin-1"))

    def _ints(self, *numbers: int) -> None:
        self._file.write(struct.pack(f"<{len(numbers)}i", *numbers))


@dataclass(eq=False)
class Storage:
    """The values of a tensor."""

    array: np.ndarray


def torch7(value: Any) -> bytes:
    """Give the Torch7 file of a value."""
    file = io.BytesIO()
    Torch7Writer(file).write(value)
    return file.getvalue()


VGG_WIDTHS = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512)] + [
    (512, 512)
] * 5
VGG_NAMES = ["1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1", "5_2", "5_3"]


def vgg_tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """Draw the convolutions of VGG16 under the names `1_1.weight`, `1_1.bias`, ..., float32.

    Their activations on pixels in [-128, 128] are of the order of 1.
    """
    random = np.random.default_rng(seed)
    tensors = {}
    for name, (n_in, n_out) in zip(VGG_NAMES, VGG_WIDTHS, strict=True):
        scale = np.sqrt(2 / (9 * n_in)) / (512 if n_in == 3 else 1)
        tensors[f"{name}.weight"] = random.standard_normal((n_out, n_in, 3, 3), np.float32) * np.float32(scale)
        tensors[f"{name}.bias"] = random.standard_normal(n_out, np.float32) * np.float32(0.1)
    return tensors


def vgg_network(tensors: dict[str, np.ndarray], connected: dict[str, np.ndarray] | None = None) -> Module:
    """Give the nn.Sequential of VGG-Face: every second kernel flattened, as old Torch kept them.

    Args:
        tensors: As `vgg_tensors` gives them.
        connected: `weight` of the three fully connected layers by name; small ones where they are not of interest.
    """
    modules = []
    for count, name in enumerate(VGG_NAMES):
        kernel, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        shaped = kernel.reshape(len(kernel), -1) if count % 2 else kernel
        kind = "nn.SpatialConvolutionMM" if count % 2 else "nn.SpatialConvolution"
        empty = np.empty(0, np.float32)
        modules += [Module(kind, {"weight": shaped, "bias": bias, "gradWeight": empty, "kW": 3}), Module("nn.ReLU")]
        if VGG_NAMES[count + 1 : count + 2] != [f"{name[0]}_{int(name[2]) + 1}"]:
            modules.append(Module("nn.SpatialMaxPooling", {"kW": 2, "kH": 2, "ceil_mode": False}))
    modules.append(Module("nn.View", {"numElements": 25088}))
    for weight in (connected or dict.fromkeys(("fc6", "fc7", "fc8"), np.ones((2, 3), np.float32))).values():
        modules += [Module("nn.Linear", {"weight": weight, "bias": np.zeros(len(weight), np.float32)})]
    return Module("nn.Sequential", {"modules": modules, "train": False, "output": np.empty(0, np.float32)})


def write_vgg(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    """Write a VGG-Face to a Torch7 file."""
    with path.open("wb") as file:
        Torch7Writer(file).write(vgg_network(tensors))
    return path
