"""Where the weights of a backbone come from: a file in an installed package, one Keras publishes, one of the user."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import ZooError, examples
from gender_pipeline.files import file_digest
from gender_pipeline.zoo.mapped import MAX_FILE_BYTES

KERAS_URL: Final = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True, kw_only=True)
class WheelWeights:
    """A torch file in the format before 1.6 inside an installed package.

    Attributes:
        package: Name of the package on the index.
        sha256: Digest of the file.
        excepted: Regular expression for the tensors of the file that the network has no use for.
        torch_name: Gives the name in that file of a weight by its Keras path.
    """

    package: str
    sha256: str
    excepted: str
    torch_name: Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class KerasWeights:
    """The two files `keras.applications` publishes for a network, below `KERAS_URL`.

    Attributes:
        application: Name of the function in `keras.applications`.
        url: File of the weights without the classifier, and
        digest: its md5 (32 hex digits) or sha256 (64) as published; None where none is.
        top_url: File of the weights with the classifier of 1,000 classes, and
        top_digest: its digest.
    """

    application: str
    url: str
    digest: str | None
    top_url: str
    top_digest: str | None


def wheel_file(weights: WheelWeights) -> Path:
    """Return the path of a file inside an installed package, after a check of its digest.

    Raises:
        ZooError: The package is not installed, or holds another file.
    """
    module = find_spec(weights.package.replace("-", "_"))
    folders = module.submodule_search_locations if module else None
    files = [path for folder in folders or () for path in sorted(Path(folder).rglob("*.pth"))]
    found = {file_digest(path): path for path in files}
    if weights.sha256 not in found:
        raise ZooError(
            f"the package {weights.package} is absent or holds other weights",
            expected=f"a file of sha256 {weights.sha256}",
            received=", ".join(found) or "no file",
            remedy="install it again",
        )
    return found[weights.sha256]


def keras_file(url: str, digest: str | None) -> Path:
    """Return a published file from Keras' cache, downloaded if it is not there.

    Args:
        url: Path below `KERAS_URL`.
        digest: Its md5 or sha256 in hex digits, or None.

    Raises:
        ZooError: It is not there and cannot be downloaded, or it has another digest.
    """
    import keras

    origin, name = f"{KERAS_URL}/{url}", url.rpartition("/")[2]
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    path = home / "models" / name
    # Keras would overwrite a file of another digest, and remove it where the download fails; it may be the user's.
    if not path.is_file():
        try:
            home.mkdir(parents=True, exist_ok=True)  # where it is missing, Keras would use /tmp instead
            path = Path(keras.utils.get_file(name, origin, cache_dir=home, cache_subdir="models", file_hash=digest))
        except Exception as error:  # Keras raises a bare Exception where a download fails
            raise ZooError(
                f"cannot download {name}",
                received=str(error)[:200],
                remedy=f"get {origin} and put it at {path}",
            ) from error
    _check_digest(path, digest, origin)
    return path


def _check_digest(path: Path, digest: str | None, origin: str) -> None:
    if digest is None:
        return
    algorithm = "md5" if len(digest) == 32 else "sha256"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != digest:
        raise ZooError(
            f"{path} is not the file Keras published",
            expected=f"{algorithm} {digest}",
            received=found,
            remedy=f"remove it, or download {origin} anew and put it there",
        )


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read a `.safetensors` file.

    Returns:
        Arrays by name, of the shapes and floating point types in the file.

    Raises:
        ZooError: The file is absent, too large or damaged, or holds anything but floating point numbers.
    """
    from safetensors.numpy import load_file

    if path.suffix != ".safetensors" or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        raise ZooError(
            f"cannot read weights from {path}",
            expected=f"imagenet, none, or the path of a .safetensors file of at most {MAX_FILE_BYTES} bytes",
        )
    try:
        tensors: dict[str, NDArray[Any]] = load_file(path)
    except Exception as error:  # SafetensorError, and KeyError for a type that numpy does not have
        raise ZooError(
            f"cannot read weights from {path}", expected="a safetensors file", received=str(error)
        ) from error
    others = sorted(name for name, tensor in tensors.items() if not np.issubdtype(tensor.dtype, np.floating))
    if others:
        raise ZooError(f"{path} holds other than floating point numbers", received=examples(others))
    return tensors
