# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files in the format of SGNet's authors, written without `sgnet_core`."""

from pathlib import Path

import torch

DEPTHS = {'sgnet_r50': (3, 4, 6, 3), 'sgnet_r101': (3, 4, 23, 3), 'sgnet_aspp_r101': (3, 4, 23, 3)}
ASPP = [(1, 0), (1, 1), (3, 12), (3, 24), (3, 36)]  # kernel and rate of conv1 (pooled) to conv5


def tensor_shapes(variant: str, classes: int = 40) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a file of the authors."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name, channels, inputs, kernel=3, bias=False):
        shapes[f'{name}.weight'] = (channels, inputs, kernel, kernel)
        if bias:
            shapes[f'{name}.bias'] = (channels,)

    def norm(name, channels):
        for leaf in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'{name}.{leaf}'] = (channels,)

    def head(name, inputs):
        conv(f'{name}.0', 512, inputs, bias=True)
        norm(f'{name}.1', 512)
        conv(f'{name}.3', classes, 512, 1, bias=True)

    for index, (channels, inputs) in enumerate([(64, 3), (64, 64), (128, 64)], 1):
        conv(f'conv{index}', channels, inputs)
        norm(f'bn{index}', channels)
    inputs = 128
    for stage, depth in enumerate(DEPTHS[variant], 1):
        width = 32 * 2**stage
        for index in range(depth):
            block = f'layer{stage}.{index}'
            for part, (channels, into, kernel) in enumerate(
                [(width, inputs, 1), (width, width, 3), (4 * width, width, 1)], 1
            ):
                conv(f'{block}.conv{part}', channels, into, kernel)
                norm(f'{block}.bn{part}', channels)
            if index == 0:
                conv(f'{block}.downsample.0', 4 * width, inputs, 1)
                norm(f'{block}.downsample.1', 4 * width)
            if index in (0, depth - 2, depth - 1):
                shapes[f'{block}.conv2.bias'] = (width,)
                conv(f'{block}.conv2.offset_generator', 18, 64, bias=True)
                conv(f'{block}.conv2.weight_generator1', 64, 64)
                conv(f'{block}.conv2.weight_generator2', 9, 64, 1, bias=True)
                for layer, into in ((0, 1), (3, 64), (6, 64)):
                    conv(f'{block}.conv2.spatial_projector.{layer}', 64, into, bias=True)
                    norm(f'{block}.conv2.spatial_projector.{layer + 1}', 64)
            inputs = 4 * width
    head('dsn3', 1024)
    if variant != 'sgnet_aspp_r101':
        head('dsn4', 2048)
        return shapes
    for index, (kernel, _) in enumerate(ASPP, 1):
        first = 1 if index == 1 else 0
        conv(f'head.0.conv{index}.{first}', 256, 2048, kernel)
        norm(f'head.0.conv{index}.{first + 1}', 256)
    conv('head.0.bottleneck.0', 512, 1280, 1)
    norm('head.0.bottleneck.1', 512)
    conv('head.1', classes, 512, 1, bias=True)
    return shapes


def write_authors_file(
    path: Path, state: dict[str, torch.Tensor], old_format: bool = True, **beside
) -> Path:
    """Write a file as the authors do: tensors under `state_dict`, names with `module.`."""
    state = {f'module.{name}': tensor for name, tensor in state.items()}
    content = {'epoch': 500, 'iteration': 1, 'state_dict': state, **beside}
    torch.save(content, path, _use_new_zipfile_serialization=not old_format)
    return path


def constant_state(variant: str, classes: int = 40) -> dict[str, torch.Tensor]:
    """All tensors of a file, each one repeated number, so that the file is small."""
    return {
        name: torch.tensor([0.5 if name.endswith('running_var') else -0.5]).expand(shape)
        for name, shape in tensor_shapes(variant, classes).items()
    }
