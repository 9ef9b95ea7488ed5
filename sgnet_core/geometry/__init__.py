# SPDX-License-Identifier: Apache-2.0
"""RGB-D geometry: points, normals, gravity, HHA, depth registration."""

from sgnet_core.geometry.depth_registration import register_depth
from sgnet_core.geometry.gravity import estimate_gravity
from sgnet_core.geometry.hha import encode_hha
from sgnet_core.geometry.normals import surface_normals
from sgnet_core.geometry.point_map import depth_to_xyz

__all__ = [
    'depth_to_xyz',
    'encode_hha',
    'estimate_gravity',
    'register_depth',
    'surface_normals',
]
