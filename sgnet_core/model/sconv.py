# SPDX-License-Identifier: Apache-2.0
"""S-Conv: a convolution whose sampling locations and weights follow the geometry of the scene.

Chen et al., "Spatial Information Guided Convolution for Real-Time RGBD Semantic Segmentation",
IEEE TIP 30 (2021), section III-B. Variables carry the paper's names:

    S' = phi(S)                     the spatial projector                              (eq. 3)
    dd = eta(S')                    the offset generator                               (eq. 4)
    S* = S' at the sampling locations                                                  (eq. 5)
    W* = sigmoid(f(S*)) W           the weight generator, one scalar per kernel position (eq. 6)
    Y(p) = sum_i W*_i(p) X(p + d_i + dd_i(p))                                          (eq. 7)

The authors' released code decides the rest: every S-Conv has its own projector at the resolution of
its input; f is a deformable 3x3 followed by a 1x1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sgnet_core.ops.deform_conv import modulated_deform_conv2d

Geometry = tuple[Tensor, Tensor]
"""Offsets (N, 2K, H', W') float32 in pixels, and masks (N, K, H', W') float32 in (0, 1)."""

GeometryFn = Callable[['SConv2d', Tensor], Geometry]
"""Gives the geometry an S-Conv of a network uses for its input features X."""


class SpatialProjector(nn.Sequential):
    """phi: three 3x3 convolutions, each with BatchNorm and ReLU, (N, c', H, W) -> (N, G, H, W)."""

    def __init__(self, spatial_channels: int, geometry_channels: int) -> None:
        layers: list[nn.Module] = []
        for channels in (spatial_channels, geometry_channels, geometry_channels):
            layers += [
                nn.Conv2d(channels, geometry_channels, 3, padding=1),
                nn.BatchNorm2d(geometry_channels),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class SConv2d(nn.Module):
    """Spatial information guided convolution.

    Args:
        in_channels, out_channels: channels C and D of the features X and Y.
        spatial_channels: c' of the spatial information S (1 depth, 3 XYZ or HHA); None if the
            features X are S, as in the paper's Tab. V and in DCNv2.
        geometry_channels: G of the projected S' (64 in the paper).
        kernel_size, stride, padding, dilation: those of the convolution it replaces, one number
            each.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        spatial_channels: int | None = 1,
        geometry_channels: int = 64,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        k = kernel_size * kernel_size  # kernel positions
        self.window = {'stride': stride, 'padding': padding, 'dilation': dilation}
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.spatial_projector = SpatialProjector(
            in_channels if spatial_channels is None else spatial_channels, geometry_channels
        )
        self.offset_generator = nn.Conv2d(geometry_channels, 2 * k, kernel_size, **self.window)
        self.weight_generator1 = nn.Parameter(
            torch.empty(geometry_channels, geometry_channels, kernel_size, kernel_size)
        )
        self.weight_generator2 = nn.Conv2d(geometry_channels, k, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He initialisation; offsets are zero, so that training starts at the regular grid."""
        nn.init.kaiming_normal_(self.weight, mode='fan_out', nonlinearity='relu')
        nn.init.kaiming_normal_(self.weight_generator1, mode='fan_out', nonlinearity='relu')
        nn.init.zeros_(self.offset_generator.weight)
        nn.init.zeros_(self.offset_generator.bias)

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """(N, C, H, W) features and (N, c', H, W) spatial information -> (N, D, H', W')."""
        return self.convolve(x, self.offsets_and_masks(s))

    def convolve(self, x: Tensor, geometry: Geometry) -> Tensor:
        """Features (N, C, H, W), sampled and weighted by `geometry` -> (N, D, H', W'), eq. 7."""
        return modulated_deform_conv2d(x, *geometry, self.weight, **self.window)

    def offsets_and_masks(self, s: Tensor) -> Geometry:
        """Offsets and masks from S (N, c', H, W) alone, eq. 3-6."""
        s_projected = self.spatial_projector(s)  # (N, G, H, W)
        # Pixel coordinates need float32 even if autocast computes the rest in half precision.
        offset = self.offset_generator(s_projected).float()  # (N, 2K, H', W')
        evenly = torch.ones_like(offset[:, ::2])
        s_sampled = modulated_deform_conv2d(
            s_projected, offset, evenly, self.weight_generator1, **self.window
        )  # (N, G, H', W')
        mask = torch.sigmoid(self.weight_generator2(s_sampled).float())  # (N, K, H', W')
        return offset, mask


def convolve(conv: nn.Module, x: Tensor, geometry_fn: GeometryFn) -> Tensor:
    """Apply a convolution: an S-Conv, or a plain one of a network without S-Convs."""
    return conv(x) if isinstance(conv, nn.Conv2d) else conv.convolve(x, geometry_fn(conv, x))
