"""Read the pickles inside torch files without unpickling: a stack machine that can build tensors' facts and no more.

A pickle is a program that calls what it names. This machine knows the opcodes `torch.save` writes at pickle protocol
2, calls nothing, and gives the few names a state dictionary needs a meaning of its own. Python's unpickler would not
do, however restricted: BUILD sets attributes, and the hash of a deeply nested tuple as a dictionary's key ends the
process.
"""

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gender_pipeline.errors import ZooError

MAX_PICKLE_BYTES: Final = 2**20  # those of EfficientNet-Lite0 have 47 kB; a byte can cost 88 bytes of memory
# Without bfloat16, which numpy has not: to widen it would cost memory a hostile file can multiply.
_STORAGES: Final = {
    "torch.DoubleStorage": "<f8", "torch.FloatStorage": "<f4", "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8", "torch.IntStorage": "<i4", "torch.ShortStorage": "<i2", "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1", "torch.BoolStorage": "?",
}  # fmt: skip
_ORDERED_DICT: Final = "collections.OrderedDict"
_TENSOR: Final = "torch._utils._rebuild_tensor_v2"
_PARAMETER: Final = "torch._utils._rebuild_parameter"
_NAMES: Final = {*_STORAGES, _ORDERED_DICT, _TENSOR, _PARAMETER}


@dataclass(frozen=True)
class Storage:
    """What a pickle says of one storage.

    Attributes:
        key: Its name in the file.
        dtype: Numpy's name of the type.
        n_values: How many values it has.
    """

    key: str
    dtype: str
    n_values: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """What a pickle says of one tensor; offset, shape and strides are as found, of any type."""

    storage: Storage
    offset: Any
    shape: Any
    strides: Any


class Unpickled(NamedTuple):
    """A pickle's value, the storages it names by key, and the position after its last byte."""

    value: Any
    storages: dict[str, Storage]
    end: int


class _Name(str):
    """A name a pickle took from a module; only the machine makes these."""

    __slots__ = ()


_MARK: Final = object()


def read_pickle(data: bytes, start: int = 0) -> Unpickled:
    """Build the value of a pickle.

    Args:
        data: At most `MAX_PICKLE_BYTES` of a file.
        start: Where in `data` the pickle begins.

    Returns:
        The value, made of None, bool, int, float, str, tuple, list, dict, `Tensor` and `Storage`.

    Raises:
        ZooError: The pickle is cut off or too long, uses an opcode or a name outside those of a state dictionary, or
            uses one in another way than torch does.
    """
    file = io.BytesIO(data)
    file.seek(start)
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(file):
            machine.run(opcode.name, argument)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        if file.tell() >= MAX_PICKLE_BYTES:
            raise ZooError("the pickles are too long", expected=f"at most {MAX_PICKLE_BYTES} bytes") from error
        raise ZooError("the pickle is damaged", received=f"{type(error).__name__}: {error}"[:200]) from error
    return Unpickled(machine.value, machine.storages, file.tell())


class _Machine:
    def __init__(self) -> None:
        self.value: Any = None
        self.storages: dict[str, Storage] = {}
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self._stack.append(_PUSHED[name](argument))
        elif name in _METHODS:
            _METHODS[name](self, argument)
        # The protocol is not looked at: what later ones add are opcodes, and those are refused.
        elif name != "PROTO":
            raise ZooError("the pickle uses an opcode no torch file has", received=name)

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def stop(self, _: None) -> None:
        self.value = self._stack.pop()

    def tuple_of_marked(self, _: None) -> None:
        self._stack.append(tuple(self._marked()))

    def tuple_of(self, n_items: int) -> None:
        items = tuple(self._stack.pop() for _ in range(n_items))
        self._stack.append(items[::-1])

    def extend(self, items: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise TypeError("APPEND to something else than a list")
        self._stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        target, keys = self._stack[-1], items[::2]
        # Other keys have a cost or a hash that runs away: a nested tuple's is exponential.
        if type(target) is not dict or any(type(key) not in (str, int) for key in keys):
            raise TypeError("a dictionary's keys must be strings or integers")
        target.update(zip(keys, items[1::2], strict=True))

    def take_name(self, words: str) -> None:
        name = words.replace(" ", ".", 1)
        if name not in _NAMES:
            raise ZooError(f"the pickle asks for {name}", expected="only tensors, torch storages and OrderedDict")
        self._stack.append(_Name(name))

    def call(self, _: None) -> None:
        arguments, name = self._stack.pop(), self._stack.pop()
        if type(name) is not _Name or type(arguments) is not tuple:
            raise TypeError("REDUCE of something else than a name and a tuple")
        if name == _ORDERED_DICT and not arguments:
            self._stack.append({})
        elif name == _TENSOR and len(arguments) in (6, 7) and isinstance(arguments[0], Storage):
            self._stack.append(Tensor(*arguments[:4]))
        elif name == _PARAMETER and isinstance(arguments[0], Tensor):
            self._stack.append(arguments[0])
        else:
            raise TypeError(f"{name} with {len(arguments)} arguments of other kinds than torch's")

    def discard_state(self, _: None) -> None:
        self._stack.pop()  # torch sets `_metadata`, the versions of the layers, on a state dictionary

    def take_storage(self, _: None) -> None:
        kind, dtype, key, _, n_values, *view = self._stack.pop()
        known = kind == "storage" and type(dtype) is _Name and dtype in _STORAGES and view in ([], [None])
        if not known or type(key) is not str or type(n_values) is not int:
            raise ZooError("the pickle names a storage of an unknown kind", expected="('storage', type, key, ...)")
        storage = Storage(key, _STORAGES[dtype], n_values)
        if self.storages.setdefault(key, storage) != storage:
            raise ZooError(f"storage {key} is described in two ways")
        self._stack.append(storage)

    def pop(self, n_items: int) -> list[Any]:
        if len(self._stack) < n_items:
            raise IndexError("the stack is empty")
        items = self._stack[-n_items:]
        del self._stack[-n_items:]
        return items

    def _marked(self) -> list[Any]:
        items = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def extend_by_marked(self, _: None) -> None:
        self.extend(self._marked())

    def update_by_marked(self, _: None) -> None:
        self.update(self._marked())


# What puts a value on the stack, by opcode; the argument is the one in the pickle.
_PUSHED: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"), lambda value: value),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "MARK": lambda _: _MARK,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
}
_METHODS: Final[dict[str, Callable[[_Machine, Any], None]]] = {
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "TUPLE": _Machine.tuple_of_marked,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": lambda machine, _: machine.extend(machine.pop(1)),
    "APPENDS": _Machine.extend_by_marked,
    "SETITEM": lambda machine, _: machine.update(machine.pop(2)),
    "SETITEMS": _Machine.update_by_marked,
    "GLOBAL": _Machine.take_name,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.discard_state,
    "BINPERSID": _Machine.take_storage,
    "STOP": _Machine.stop,
}
