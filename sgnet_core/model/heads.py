# SPDX-License-Identifier: Apache-2.0
"""Segmentation heads: features to class scores, at the resolution of their input features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgnet_core.model.sconv import GeometryFn, SConv2d, convolve

LEAKY_SLOPE = 0.01
DROPOUT = 0.1
HEAD_CHANNELS = 512
ASPP_CHANNELS = 256
ASPP_RATES = (12, 24, 36)
LIGHT_GEOMETRY_CHANNELS = 32
"""G of the light decoder: half of the paper's."""


class PlainHead(nn.Sequential):
    """3x3 to 512, BatchNorm, LeakyReLU, Dropout2d, 1x1 to classes: (N, C, h, w) -> (N, K, h, w)."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, HEAD_CHANNELS, 3, padding=1),
            nn.BatchNorm2d(HEAD_CHANNELS),
            nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
            nn.Dropout2d(DROPOUT),
            nn.Conv2d(HEAD_CHANNELS, num_classes, 1),
        )


class AsppHead(nn.Module):
    """Atrous spatial pyramid pooling: pooled image, 1x1, three dilated 3x3, 256 channels each."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        leaky = nn.LeakyReLU(LEAKY_SLOPE, inplace=True)
        self.pooling = _conv_bn(in_channels, ASPP_CHANNELS, leaky)
        self.branches = nn.ModuleList(
            _conv_bn(in_channels, ASPP_CHANNELS, leaky, dilation=rate) for rate in (0, *ASPP_RATES)
        )
        channels = ASPP_CHANNELS * (len(ASPP_RATES) + 2)
        self.bottleneck = _conv_bn(channels, HEAD_CHANNELS, leaky, nn.Dropout2d(DROPOUT))
        self.classifier = nn.Conv2d(HEAD_CHANNELS, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pooling(F.adaptive_avg_pool2d(x, 1))  # (N, 256, 1, 1)
        pooled = pooled.expand(-1, -1, *x.shape[2:])  # (N, 256, h, w)
        y = torch.cat([pooled, *(branch(x) for branch in self.branches)], dim=1)  # (N, 1280, h, w)
        return self.classifier(self.bottleneck(y))  # (N, K, h, w)


class LightDecoder(nn.Module):
    """Top-down decoder of the lite variants: from stride 32 up to 8, every 3x3 an S-Conv.

    Each step adds the features of a stage, projected by a 1x1 convolution, to the upsampled output
    of the previous step, and applies one S-Conv. A global context vector enters at the top.
    """

    WIDTHS = (128, 128, 64)
    """Channels at strides 32, 16 and 8: the most expensive resolution is the narrowest."""

    def __init__(
        self,
        in_channels: list[int],
        num_classes: int,
        spatial_channels: int | None,
        widths: tuple[int, int, int] = WIDTHS,
    ) -> None:
        super().__init__()
        deepest_first = in_channels[::-1]
        self.context = nn.Conv2d(deepest_first[0], widths[0], 1)
        self.laterals = nn.ModuleList(map(_conv_bn, deepest_first, widths))
        # The output of a mixer has the width of the next step.
        out_widths = (*widths[1:], widths[-1])
        self.mixers = nn.ModuleList(
            nn.Conv2d(*pair, 3, padding=1, bias=False)
            if spatial_channels == 0
            else SConv2d(*pair, spatial_channels, LIGHT_GEOMETRY_CHANNELS)
            for pair in zip(widths, out_widths, strict=True)
        )
        self.norms = nn.ModuleList(map(nn.BatchNorm2d, out_widths))
        self.conv_bn_pairs = [(f'mixers.{i}', f'norms.{i}') for i in range(len(widths))]
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classifier = nn.Conv2d(widths[-1], num_classes, 1)

    def forward(self, features: list[Tensor], geometry_fn: GeometryFn) -> Tensor:
        """Features at strides 8, 16, 32 -> scores (N, K, H/8, W/8)."""
        deepest_first = features[::-1]
        y = self.context(F.adaptive_avg_pool2d(deepest_first[0], 1))  # (N, 128, 1, 1)
        for x, lateral, mixer, norm in zip(
            deepest_first, self.laterals, self.mixers, self.norms, strict=True
        ):
            above = F.interpolate(y, x.shape[2:], mode='bilinear', align_corners=False)  # stride s
            y = F.relu(lateral(x) + above, inplace=True)  # (N, 128 or 64, H/s, W/s)
            y = F.relu(norm(convolve(mixer, y, geometry_fn)), inplace=True)
        return self.classifier(self.dropout(y))


def _conv_bn(
    in_channels: int, out_channels: int, *more: nn.Module, dilation: int = 0
) -> nn.Sequential:
    """A 1x1 convolution, or a dilated 3x3, with BatchNorm and `more` modules."""
    window = {'padding': dilation, 'dilation': dilation} if dilation else {}
    conv = nn.Conv2d(in_channels, out_channels, 3 if dilation else 1, bias=False, **window)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), *more)
