# SPDX-License-Identifier: Apache-2.0
"""S-Conv and SGNet in plain PyTorch. Knows nothing of files, frames, data sets or ROS."""

from sgnet_core.model.sconv import SConv2d
from sgnet_core.model.sgnet import VARIANTS, SGNet, SGNetConfig
from sgnet_core.ops.deform_conv import modulated_deform_conv2d

__all__ = ['VARIANTS', 'SConv2d', 'SGNet', 'SGNetConfig', 'modulated_deform_conv2d']
