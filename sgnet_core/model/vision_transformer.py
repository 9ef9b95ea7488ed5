# SPDX-License-Identifier: Apache-2.0
"""Vision transformer backbone: ViT-S of DINOv2 with patches of 16 pixels and an RGB-D stem.

Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021); Oquab et al., "DINOv2" (TMLR 2024):
pre-norm blocks with LayerScale, position embeddings interpolated to the grid of the image. Li et
al., "Exploring Plain Vision Transformer Backbones" (ECCV 2022): strides 8 and 32 are made from the
tokens of stride 16. Attention sees only whole patches; a small convolutional stem, as in ViTAdapter
(Chen et al., ICLR 2023), adds depth and the detail inside of a patch.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 16
WIDTH, DEPTH, HEADS = 384, 12, 6
POSITION_GRID = (24, 32)
"""Rows and columns of the position embeddings; other grids are interpolated."""
OUTPUT_BLOCKS = (3, 7, 11)
"""Blocks whose tokens are returned."""
DROP_PATH = 0.15
"""Stochastic depth of the last block; it rises linearly from 0."""
STEM_CHANNELS = (24, 48, 64)


class VisionTransformer(nn.Module):
    """(N, 3, H, W) and spatial information -> features at strides 8, 16, 32.

    Args:
        spatial_channels: c' of the spatial information that the stem sees; 0 for none.
    """

    def __init__(self, spatial_channels: int) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.position_embedding = nn.Parameter(torch.zeros(1, 1 + math.prod(POSITION_GRID), WIDTH))
        self.blocks = nn.ModuleList(
            Block(WIDTH, HEADS, DROP_PATH * i / (DEPTH - 1)) for i in range(DEPTH)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH, eps=1e-6) for _ in OUTPUT_BLOCKS)
        self.spatial_norm = nn.BatchNorm2d(spatial_channels) if spatial_channels else None
        self.stem = nn.Sequential(
            *_conv_bn_relu(3 + spatial_channels, STEM_CHANNELS[0]),
            *_conv_bn_relu(*STEM_CHANNELS[:2]),
            *_conv_bn_relu(*STEM_CHANNELS[1:]),
        )
        self.stem_embedding = nn.Conv2d(STEM_CHANNELS[-1], WIDTH, 2, 2)
        # Zero: training starts at the function of the pretrained transformer.
        nn.init.zeros_(self.stem_embedding.weight)
        nn.init.zeros_(self.stem_embedding.bias)
        self.out_channels = [WIDTH + STEM_CHANNELS[-1], 2 * WIDTH, WIDTH]

    def forward(self, image: Tensor, spatial: Tensor | None = None) -> list[Tensor]:
        """Features of an image (N, 3, H, W); spatial (N, c', h, w) is resized to it."""
        stem = self.stem(self._stem_input(image, spatial))  # (N, 64, H/8, W/8)
        grid = self.patch_embedding(image) + self.stem_embedding(stem)  # (N, 384, H/16, W/16)
        size = tuple(grid.shape[2:])
        x = grid.flatten(2).transpose(1, 2)  # (N, L, 384)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self._positions(size)
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in OUTPUT_BLOCKS:
                tokens = self.norms[len(maps)](x)[:, 1:]
                maps.append(tokens.transpose(1, 2).unflatten(2, size))  # (N, 384, H/16, W/16)
        early, middle, last = maps
        early = F.interpolate(early, stem.shape[2:], mode='bilinear', align_corners=False)
        return [
            torch.cat([early, stem], 1),  # (N, 448, H/8, W/8)
            torch.cat([middle, last], 1),  # (N, 768, H/16, W/16)
            F.avg_pool2d(last, 2),  # (N, 384, H/32, W/32)
        ]

    def _stem_input(self, image: Tensor, spatial: Tensor | None) -> Tensor:
        if self.spatial_norm is None:
            return image
        if spatial is None:
            raise ValueError('this backbone needs spatial information')
        spatial = F.interpolate(spatial, image.shape[2:], mode='bilinear', align_corners=True)
        return torch.cat([image, self.spatial_norm(spatial.to(image.dtype))], 1)

    def _positions(self, size: tuple[int, int]) -> Tensor:
        """(1, 1 + h w, D) position embeddings of the class token and of a grid of this size."""
        return resize_positions(self.position_embedding, POSITION_GRID, size)


def resize_positions(embedding: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Position embeddings of a class token and a grid, (1, 1 + rows * columns, D), resized."""
    first, rest = embedding[:, :1], embedding[:, 1:]
    rest = rest.transpose(1, 2).unflatten(2, grid)
    rest = F.interpolate(rest, size, mode='bicubic', align_corners=False)
    return torch.cat([first, rest.flatten(2).transpose(1, 2)], 1)


class Block(nn.Module):
    """Attention and MLP, each a residual with LayerScale and stochastic depth: (N, L, D)."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.heads, self.drop_path = heads, drop_path
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.scale1 = nn.Parameter(torch.ones(width))
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        self.scale2 = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._drop_path(self.scale1 * self._attention(self.norm1(x)))
        return x + self._drop_path(self.scale2 * self.fc2(F.gelu(self.fc1(self.norm2(x)))))

    def _attention(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)  # (N, heads, L, D/heads)
        return self.projection(y.transpose(1, 2).flatten(2))

    def _drop_path(self, residual: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return residual
        keep = 1 - self.drop_path
        return residual * residual.new_empty(len(residual), 1, 1).bernoulli_(keep) / keep


def _conv_bn_relu(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    """A 3x3 convolution of stride 2."""
    conv = nn.Conv2d(in_channels, out_channels, 3, 2, 1, bias=False)
    return conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
