# SPDX-License-Identifier: Apache-2.0
"""Preprocessing of frames for training, evaluation and the node.

`InputSpec` is stored in the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.errors import InputError
from sgnet_core.geometry.hha import depth_to_hha
from sgnet_core.geometry.hole_filling import fill_missing_depth
from sgnet_core.geometry.point_map import depth_to_xyz
from sgnet_core.model.sgnet import SPATIAL_CHANNELS
from sgnet_core.types import CameraIntrinsics, Gravity, RgbdFrame

SIZE_MULTIPLE = 32
"""Network input sizes are multiples of the deepest stride."""
MAX_SIZE = 8192
"""Largest side of a network input, in pixels."""

DEPTH_FILLS = ('constant', 'smooth')


@dataclass(frozen=True)
class InputSpec:
    """Converts a frame to the two inputs of a network.

    Attributes:
        height, width: input size; multiples of 32.
        channel_order: `rgb` or `bgr`.
        mean, std: per channel, in that order, in grey levels 0..255.
        spatial: `depth`, `xyz`, `hha`, `features` or `none`, as in `SGNetConfig`.
        depth_fill: value of missing depth: `constant`, or `smooth` (`fill_missing_depth`).
        depth_fill_m: the constant in metres, also used for images without any measurement. Missing
            HHA is always 0.

    Raises:
        InputError: a value is invalid.
    """

    height: int
    width: int
    channel_order: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    spatial: str
    depth_fill_m: float = 0.0
    depth_fill: str = 'constant'

    def __post_init__(self) -> None:
        if not all(SIZE_MULTIPLE <= n <= MAX_SIZE and n % SIZE_MULTIPLE == 0 for n in self.size):
            raise InputError(
                f'the input size must be multiples of {SIZE_MULTIPLE} up to {MAX_SIZE}, got '
                f'{self.height}x{self.width} (height x width)'
            )
        if self.channel_order not in ('rgb', 'bgr'):
            raise InputError(f'channel_order must be rgb or bgr, got {self.channel_order!r}')
        for name, allowed in (('spatial', SPATIAL_CHANNELS), ('depth_fill', DEPTH_FILLS)):
            if (value := getattr(self, name)) not in allowed:
                raise InputError(f'{name} must be one of {", ".join(allowed)}, got {value!r}')
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise InputError(f'mean and std need 3 values, std > 0: {self.mean}, {self.std}')

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    def at_size(self, size: tuple[int, int]) -> InputSpec:
        """This specification for another (height, width), multiples of 32."""
        return replace(self, height=size[0], width=size[1])

    def preprocess(
        self, frame: RgbdFrame, device: str | torch.device = 'cpu', rgb: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Resize a frame of any size to `size` and `encode` it.

        `rgb` is that of the frame if it is on the device already.
        """
        if rgb is None:
            rgb = torch.from_numpy(frame.rgb).to(device)
        depth_m = torch.from_numpy(frame.depth_m).to(device)
        rgb, depth_m = resize_rgbd(rgb.permute(2, 0, 1).float(), depth_m, self.size)
        return self.encode(rgb, depth_m, frame.intrinsics.resized(*self.size), frame.gravity)

    def encode(
        self,
        rgb: Tensor,
        depth_m: Tensor,
        intrinsics: CameraIntrinsics,
        gravity: Gravity | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Normalise colour and encode depth, without resizing.

        Args:
            rgb: (3, H, W) float32, grey levels 0..255, RGB.
            depth_m: (H, W) float32 metres, NaN = no measurement.
            intrinsics: camera of this image size.
            gravity: for HHA; None estimates it.

        Returns:
            image (1, 3, H, W) and spatial (1, c', H, W), float32; spatial is None for
            `features` and `none`.
        """
        image = rgb.flip(0) if self.channel_order == 'bgr' else rgb
        # Numbers, not tensors: an upload of constants would synchronise a GPU.
        normalised = [
            (channel - mean) / std
            for channel, mean, std in zip(image, self.mean, self.std, strict=True)
        ]
        return torch.stack(normalised)[None], self._encode_depth(depth_m, intrinsics, gravity)

    def _encode_depth(
        self, depth_m: Tensor, intrinsics: CameraIntrinsics, gravity: Gravity | None
    ) -> Tensor | None:
        if not SPATIAL_CHANNELS[self.spatial]:
            return None
        if self.depth_fill == 'smooth':
            depth_m = fill_missing_depth(depth_m)
        if self.spatial == 'hha':
            # Scaled to the magnitude of depths in metres.
            return depth_to_hha(depth_m, intrinsics, gravity).div(255.0).nan_to_num(0.0)[None]
        spatial = depth_m[None] if self.spatial == 'depth' else depth_to_xyz(depth_m, intrinsics)
        return torch.where(torch.isfinite(spatial), spatial, self.depth_fill_m)[None]


def resize_rgbd(rgb: Tensor, depth_m: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Resize a frame: colour anti-aliased, depth from the nearest pixel.

    Interpolated depth would lie between two surfaces.

    Args:
        rgb: (3, H, W), grey levels 0..255. The network input is computed from float32. Training
            passes uint8, which is faster and at most one grey level apart.
        depth_m: (H, W) float32.
        size: (height, width) of the result.

    Returns:
        (3, height, width) of the dtype of `rgb`, and (height, width) float32.
    """
    if tuple(depth_m.shape) == size:
        return rgb, depth_m
    rgb = F.interpolate(rgb[None], size, mode='bilinear', align_corners=False, antialias=True)[0]
    return rgb, resize_nearest(depth_m, size)


def resize_nearest(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (H, W) depth or labels to (height, width) without new values."""
    return F.interpolate(image[None, None], size, mode='nearest-exact')[0, 0]
