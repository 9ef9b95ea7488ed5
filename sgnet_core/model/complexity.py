# SPDX-License-Identifier: Apache-2.0
"""Counts parameters and multiply-adds of a variant on the meta device."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from sgnet_core.model.sgnet import SPATIAL_CHANNELS, SGNet, SGNetConfig


def complexity(config: SGNetConfig, size: tuple[int, int] = (480, 640)) -> dict[str, Any]:
    """Parameters and multiply-adds for one image of `size` (height, width).

    As in the paper, convolutions and matrix products count; interpolation, norms and activations do
    not. The training graph includes the auxiliary head.
    """
    parameters, gmacs = {}, {}
    for auxiliary in (False, True):
        with torch.device('meta'), torch.no_grad(), FlopCounterMode(display=False) as counter:
            network = SGNet(config, auxiliary).eval()
            channels = SPATIAL_CHANNELS[config.spatial]
            spatial = torch.empty(1, channels, *size) if channels else None
            network.forward_with_auxiliary(torch.empty(1, 3, *size), spatial)
        parameters[auxiliary] = sum(p.numel() for p in network.parameters())
        gmacs[auxiliary] = counter.get_total_flops() / 2e9
    return {
        'parameters_training': parameters[True],
        'parameters_inference': parameters[False],
        'gmacs': round(gmacs[False], 3),
        'gmacs_training_graph': round(gmacs[True], 3),
        'sconv_positions': network.sconv_positions(),
    }
