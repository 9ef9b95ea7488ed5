# SPDX-License-Identifier: Apache-2.0
"""RGB-D semantic segmentation with S-Conv and SGNet: model, data, training, evaluation.

Importing this package is light: the names below are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sgnet_core.checkpoint.checkpoint import load_checkpoint
    from sgnet_core.inference.segmenter import Segmenter
    from sgnet_core.types import CameraIntrinsics, RgbdFrame, SegmentationResult

    __version__: str

__all__ = ['CameraIntrinsics', 'RgbdFrame', 'SegmentationResult', 'Segmenter', 'load_checkpoint']

_MODULES = {
    'CameraIntrinsics': 'sgnet_core.types',
    'RgbdFrame': 'sgnet_core.types',
    'SegmentationResult': 'sgnet_core.types',
    'Segmenter': 'sgnet_core.inference.segmenter',
    'load_checkpoint': 'sgnet_core.checkpoint.checkpoint',
}


def __getattr__(name: str) -> Any:
    if name == '__version__':
        return import_module('sgnet_core.version').version()
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, '__version__'])
