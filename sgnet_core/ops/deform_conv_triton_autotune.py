# SPDX-License-Identifier: Apache-2.0
"""Autotunes the tile sizes of the deformable convolution kernels.

Half-precision products need 64 pixels or more (the unit of a Hopper warp group); few pixels need
small tiles to occupy all processors. Three stages hide the gather behind the products; one stage
loads straight to registers, at half the shared-memory traffic, and relies on other programs to hide
latency. The compiler reports no register spills in half precision for compute capability 9.0. None
has been measured yet.
"""

from __future__ import annotations

import logging

import torch
import triton
from triton import knobs

from sgnet_core.ops.deform_conv_triton_kernels import (
    forward_kernel,
    input_gradients_kernel,
    weight_gradient_kernel,
)

WIDEST_BLOCK = 256
"""Filters of a program; with more filters fewer programs gather the same samples."""

logger = logging.getLogger(__name__)


def _tuned(kernel, blocks, rows, fits, **options):
    """`kernel`, tuned over `rows` (a number for each of `blocks`, warps, stages) that fit."""
    configs = [
        triton.Config(dict(zip(blocks, row, strict=False)), num_warps=row[-2], num_stages=row[-1])
        for row in rows
    ]
    if knobs.runtime.interpret:
        # The interpreter cannot measure. Small tiles give small tests several tiles.
        configs = [triton.Config(dict.fromkeys(blocks, 16))]

    def candidates(configs, arguments, **constants):
        if arguments['x'].is_cuda and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                'a CUDA graph cannot capture the autotuning of S-Conv for a new size: call once '
                'with the same shapes and dtypes before the capture'
            )
        logger.info('autotuning %s for a new size', kernel.__name__)
        return [config for config in configs if fits(config.kwargs, arguments, constants)]

    return triton.autotune(
        configs,
        key=['channels', 'filters', 'magnitude'],
        prune_configs_by={'early_config_prune': candidates},
        cache_results=True,
        **options,
    )(kernel)


def _filters_fill_the_block(blocks, arguments, constants) -> bool:
    """Wide enough to share gathers between filters, and at least half full."""
    widest = min(max(triton.next_power_of_2(constants['filters']), 16), WIDEST_BLOCK)
    return widest / 2 <= blocks['block_d'] <= widest


def _operands_fit_registers(blocks, arguments, constants) -> bool:
    """Products in float32, without tensor cores, hold whole rows and columns in registers."""
    single = arguments['x'].dtype == torch.float32
    return (blocks['block_p'] == 16) == single


tuned_forward = _tuned(
    forward_kernel,
    ('block_p', 'block_d'),
    [
        *[(16, 16, 2, 3), (32, 16, 2, 3), (64, 16, 4, 3)],
        *[(64, 64, 4, 1), (64, 64, 4, 3), (32, 64, 4, 3), (128, 64, 8, 1)],
        *[(64, 128, 4, 1), (64, 128, 8, 3), (32, 128, 4, 1), (128, 128, 8, 1)],
        *[(64, 256, 8, 1), (64, 256, 8, 2)],
    ],
    _filters_fill_the_block,
)

tuned_input_gradients = _tuned(
    input_gradients_kernel,
    ('block_p',),
    [(32, 4, 2), (64, 8, 2)],
    lambda *_: True,
    reset_to_zero=['grad_x'],  # the trials add to it
)

tuned_weight_gradient = _tuned(
    weight_gradient_kernel,
    ('block_p',),
    [(64, 4, 1), (64, 4, 3), (32, 4, 3), (16, 4, 1), (16, 4, 3)],
    _operands_fit_registers,
)
