# SPDX-License-Identifier: Apache-2.0
"""Deep-stem ResNet with output stride 16 and S-Convs in every stage (SGNet, section III-C).

S-Conv replaces `conv2` of the first and the last two blocks of a stage. As in the authors' code it
has padding 1 and dilation 1, even if the convolution that it replaces is dilated.
"""

from __future__ import annotations

from torch import Tensor, nn

from sgnet_core.model.sconv import GeometryFn, SConv2d, convolve

STAGE_STRIDES = (1, 2, 2, 1)
STAGE_DILATIONS = (1, 1, 2, 4)
STAGE_WIDTHS = (64, 128, 256, 512)


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3 (or S-Conv), 1x1 expand by four, around a shortcut."""

    expansion = 4
    conv_bn_pairs = (('conv1', 'bn1'), ('conv2', 'bn2'), ('conv3', 'bn3'))

    def __init__(self, in_channels: int, width: int, conv2: nn.Module, stride: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv2
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor, geometry_fn: GeometryFn) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = convolve(self.conv2, y, geometry_fn)  # carries the stride
        y = self.relu(self.bn2(y))
        y = self.bn3(self.conv3(y))
        return self.relu(y + self.downsample(x))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; the second may be an S-Conv."""

    expansion = 1
    conv_bn_pairs = (('conv1', 'bn1'), ('conv2', 'bn2'))

    def __init__(self, in_channels: int, width: int, conv2: nn.Module, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv2
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor, geometry_fn: GeometryFn) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))  # carries the stride
        y = self.bn2(convolve(self.conv2, y, geometry_fn))
        return self.relu(y + self.downsample(x))


class DeepStemResNet(nn.Module):
    """The backbone: (N, 3, H, W) -> features of stage 3 and stage 4, both at H/16 x W/16.

    Args:
        block: `Bottleneck` or `BasicBlock`.
        depths: blocks per stage.
        spatial_channels: c' as in `SConv2d`; 0 for plain convolutions everywhere.
    """

    conv_bn_pairs = (('conv1', 'bn1'), ('conv2', 'bn2'), ('conv3', 'bn3'))

    def __init__(
        self,
        block: type[Bottleneck] | type[BasicBlock],
        depths: tuple[int, int, int, int],
        spatial_channels: int | None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.conv3 = nn.Conv2d(64, 128, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(128)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 128
        for stage, depth in enumerate(depths):
            layer = _make_stage(block, channels, stage, depth, spatial_channels)
            self.add_module(f'layer{stage + 1}', layer)
            channels = STAGE_WIDTHS[stage] * block.expansion
        self.out_channels = (channels // 2, channels)

    def forward(self, image: Tensor, geometry_fn: GeometryFn) -> tuple[Tensor, Tensor]:
        x = self.relu(self.bn1(self.conv1(image)))  # (N, 64, H/2, W/2)
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.relu(self.bn3(self.conv3(x)))  # (N, 128, H/2, W/2)
        x = self.maxpool(x)  # (N, 128, H/4, W/4)
        features = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                x = block(x, geometry_fn)
            features.append(x)
        return features[2], features[3]


def _make_stage(
    block: type[Bottleneck] | type[BasicBlock],
    in_channels: int,
    stage: int,
    depth: int,
    spatial_channels: int | None,
) -> nn.ModuleList:
    width, dilation = STAGE_WIDTHS[stage], STAGE_DILATIONS[stage]
    blocks = []
    for index in range(depth):
        stride = STAGE_STRIDES[stage] if index == 0 else 1
        # In a Bottleneck conv2 is the 3x3 that carries the stride; in a BasicBlock conv1 does.
        conv2_stride = stride if block is Bottleneck else 1
        if spatial_channels != 0 and index in (0, depth - 2, depth - 1):
            conv2: nn.Module = SConv2d(width, width, spatial_channels, stride=conv2_stride)
        else:
            conv2 = nn.Conv2d(width, width, 3, conv2_stride, dilation, dilation, bias=False)
        blocks.append(block(in_channels, width, conv2, stride))
        in_channels = width * block.expansion
    return nn.ModuleList(blocks)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    conv = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))
