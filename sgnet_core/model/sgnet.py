# SPDX-License-Identifier: Apache-2.0
"""SGNet (Chen et al., TIP 2021, section III-C): one network whose variants are rows of a table."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from sgnet_core.model.efficientnet_lite import EfficientNetLite
from sgnet_core.model.heads import AsppHead, LightDecoder, PlainHead
from sgnet_core.model.resnet import BasicBlock, Bottleneck, DeepStemResNet
from sgnet_core.model.sconv import Geometry, GeometryFn, SConv2d
from sgnet_core.model.vision_transformer import VisionTransformer
from sgnet_core.ops.joint_bilateral_upsampling import joint_bilateral_upsample

SPATIAL_CHANNELS = {'depth': 1, 'xyz': 3, 'hha': 3, 'features': None, 'none': 0}
"""Channels c' of the spatial information for each choice of `spatial`.

With `features` the input features of every S-Conv are its spatial information (the paper's Tab. V);
with `none` all convolutions are plain (the paper's baseline). Neither takes spatial information.
"""


@dataclass(frozen=True)
class ResNetVariant:
    """A deep-stem ResNet and its head."""

    block: type[Bottleneck] | type[BasicBlock]
    depths: tuple[int, int, int, int]
    head: type[PlainHead] | type[AsppHead] = PlainHead


@dataclass(frozen=True)
class LiteVariant:
    """An EfficientNet-Lite with the light decoder: width and depth multipliers."""

    width: float
    depth: float


@dataclass(frozen=True)
class ViTVariant:
    """A vision transformer with the light decoder: its channels at strides 32, 16 and 8."""

    widths: tuple[int, int, int]


VARIANTS: dict[str, ResNetVariant | LiteVariant | ViTVariant] = {
    'sgnet_r18': ResNetVariant(BasicBlock, (2, 2, 2, 2)),
    'sgnet_r34': ResNetVariant(BasicBlock, (3, 4, 6, 3)),
    'sgnet_r50': ResNetVariant(Bottleneck, (3, 4, 6, 3)),
    'sgnet_r101': ResNetVariant(Bottleneck, (3, 4, 23, 3)),
    'sgnet_aspp_r101': ResNetVariant(Bottleneck, (3, 4, 23, 3), AsppHead),
    'sgnet_lite0': LiteVariant(1.0, 1.0),
    'sgnet_lite1': LiteVariant(1.0, 1.1),
    'sgnet_lite2': LiteVariant(1.1, 1.2),
    'sgnet_vits': ViTVariant((128, 128, 96)),
}


@dataclass(frozen=True)
class SGNetConfig:
    """An architecture.

    Attributes:
        variant: a key of `VARIANTS`.
        num_classes: 1 to 255 (id 255 is "unlabelled").
        spatial: spatial information of the S-Convs, a key of `SPATIAL_CHANNELS`.
        joint_bilateral: upsample the scores along the edges of colour and spatial information, see
            `joint_bilateral_upsample`; it has no weights.

    Raises:
        ValueError: a value is invalid.
    """

    variant: str = 'sgnet_lite0'
    num_classes: int = 40
    spatial: str = 'depth'
    joint_bilateral: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (('variant', VARIANTS), ('spatial', SPATIAL_CHANNELS)):
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f'unknown {name} {value!r}; choose from {", ".join(allowed)}')
        if not 1 <= self.num_classes <= 255:
            raise ValueError(f'num_classes must be 1 to 255, got {self.num_classes}')


class SGNet(nn.Module):
    """Class scores from an RGB image and spatial information.

    Args:
        config: the architecture.
        auxiliary: add the training-only head on the features before the last stage.
    """

    def __init__(self, config: SGNetConfig, auxiliary: bool = False) -> None:
        super().__init__()
        self.config = config
        variant = VARIANTS[config.variant]
        channels, classes = SPATIAL_CHANNELS[config.spatial], config.num_classes
        if isinstance(variant, LiteVariant):
            self.backbone: nn.Module = EfficientNetLite(variant.width, variant.depth)
            self.head: nn.Module = LightDecoder(self.backbone.out_channels[1:], classes, channels)
            auxiliary_channels = self.backbone.out_channels[2]
        elif isinstance(variant, ViTVariant):
            self.backbone = VisionTransformer(channels or 0)
            self.head = LightDecoder(self.backbone.out_channels, classes, channels, variant.widths)
            auxiliary_channels = self.backbone.out_channels[1]
        else:
            self.backbone = DeepStemResNet(variant.block, variant.depths, channels)
            auxiliary_channels, out_channels = self.backbone.out_channels
            self.head = variant.head(out_channels, classes)
        self.auxiliary_head = PlainHead(auxiliary_channels, classes) if auxiliary else None

    def forward(self, image: Tensor, spatial: Tensor | None = None) -> Tensor:
        """Class scores before softmax.

        Args:
            image: (N, 3, H, W) float, normalised by `InputSpec`; H and W are multiples of 32.
            spatial: (N, c', h, w) float, any resolution; None for `features` and `none`.

        Returns:
            (N, num_classes, H/16, W/16) for ResNet variants, otherwise (N, num_classes, H/8, W/8);
            twice as many rows and columns with `joint_bilateral`. `resize_scores` resizes them.

        Raises:
            ValueError: `spatial` is missing, or has other channels or another batch size.
        """
        return self.forward_with_auxiliary(image, spatial)[0]

    def forward_with_auxiliary(
        self, image: Tensor, spatial: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Main scores, and auxiliary scores or None."""
        geometry_fn = self._geometry_fn(image, spatial)
        scores, auxiliary = self.guided_forward(image, spatial, geometry_fn)
        return self.upsample(scores, image, spatial), auxiliary

    def guided_forward(
        self, image: Tensor, spatial: Tensor | None, geometry_fn: GeometryFn
    ) -> tuple[Tensor, Tensor | None]:
        """As `forward_with_auxiliary`, with the geometry of `geometry_fn`, but not upsampled."""
        if isinstance(self.backbone, EfficientNetLite):
            features = self.backbone(image)  # strides 4, 8, 16, 32
            scores = self.head(features[1:], geometry_fn)  # (N, num_classes, H/8, W/8)
            middle = features[2]
        elif isinstance(self.backbone, VisionTransformer):
            features = self.backbone(image, spatial)  # strides 8, 16, 32
            scores = self.head(features, geometry_fn)  # (N, num_classes, H/8, W/8)
            middle = features[1]
        else:
            middle, last = self.backbone(image, geometry_fn)  # both stride 16
            scores = self.head(last)  # (N, num_classes, H/16, W/16)
        return scores, None if self.auxiliary_head is None else self.auxiliary_head(middle)

    def upsample(self, scores: Tensor, image: Tensor, spatial: Tensor | None) -> Tensor:
        """Upsample the scores of `guided_forward` if the configuration asks for it."""
        if not self.config.joint_bilateral:
            return scores
        return joint_bilateral_upsample(scores, image, spatial)

    def offsets_and_masks(
        self, image: Tensor, spatial: Tensor | None = None
    ) -> dict[str, Geometry]:
        """Offsets and masks of every S-Conv for these inputs, by position: where it samples."""
        geometry_fn = self._geometry_fn(image, spatial)
        recorded: dict[SConv2d, Geometry] = {}

        def recording(conv: SConv2d, x: Tensor) -> Geometry:
            recorded[conv] = geometry_fn(conv, x)
            return recorded[conv]

        self.guided_forward(image, spatial, recording)
        return {name: recorded[self.get_submodule(name)] for name in self.sconv_positions()}

    def sconv_positions(self) -> list[str]:
        """Names of the S-Convs, in the order of the forward pass."""
        return [name for name, module in self.named_modules() if isinstance(module, SConv2d)]

    def _geometry_fn(self, image: Tensor, spatial: Tensor | None) -> GeometryFn:
        check_spatial(self.config, image, spatial)
        if spatial is None:
            return lambda conv, x: conv.offsets_and_masks(x)
        spatial_at = SpatialPyramid(spatial)
        return lambda conv, x: conv.offsets_and_masks(spatial_at(x.shape[2:]))


def resize_scores(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize scores (N, K, h, w) to (height, width), bilinearly as in the authors' code."""
    return F.interpolate(scores.float(), size, mode='bilinear', align_corners=True)


def check_spatial(config: SGNetConfig, image: Tensor, spatial: Tensor | None) -> None:
    """Raise ValueError unless `spatial` has the shape that `config` requires."""
    channels = SPATIAL_CHANNELS[config.spatial]
    if channels:
        wanted = (image.shape[0], channels)
        if spatial is None or tuple(spatial.shape[:2]) != wanted:
            got = None if spatial is None else tuple(spatial.shape)
            raise ValueError(
                f'spatial must be ({wanted[0]}, {wanted[1]}, h, w) for spatial '
                f'{config.spatial!r} and image {tuple(image.shape)}; got {got}'
            )
    elif spatial is not None:
        raise ValueError(
            f'spatial must be None for spatial {config.spatial!r}; got {tuple(spatial.shape)}'
        )


class SpatialPyramid:
    """Resizes the spatial information from full size, once for each resolution."""

    def __init__(self, spatial: Tensor) -> None:
        self._spatial = spatial
        self._resized: dict[tuple[int, int], Tensor] = {}

    def __call__(self, size: tuple[int, int]) -> Tensor:
        size = tuple(size)
        if size not in self._resized:
            self._resized[size] = F.interpolate(
                self._spatial, size, mode='bilinear', align_corners=True
            )
        return self._resized[size]
