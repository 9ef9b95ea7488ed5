# SPDX-License-Identifier: Apache-2.0
"""RGB-D geometry: points, normals, gravity, HHA, depth registration.

The names below are loaded when they are first used: datasets and bags need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    'depth_to_xyz': 'point_map',
    'encode_hha': 'hha',
    'estimate_gravity': 'gravity',
    'register_depth': 'depth_registration',
    'surface_normals': 'normals',
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
