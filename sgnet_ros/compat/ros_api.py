# SPDX-License-Identifier: Apache-2.0
"""Chooses between real ROS packages and their stand-ins, once, at import, and logs the choice.

`rclpy` and the message packages are always real. `message_filters` and `cv_bridge` come only with
a ROS distribution, so `sgnet_ros.compat.standalone` holds the functions in use. `tf2_ros` and
packages of messages of other projects are optional.
"""

import importlib.util
import logging
from collections.abc import Callable
from operator import attrgetter
from types import ModuleType

import numpy as np

from sgnet_ros.compat.cv_bridge_probe import probe, probe_in_subprocess

_logger = logging.getLogger(__name__)

BROKEN_PACKAGE = (
    '%s is installed but cannot be used (%s): using sgnet_ros.compat.standalone.%s. NumPy is %s; '
    'ROS distributions before Lyrical compile their packages for NumPy 1: '
    'pip install "numpy<2" "opencv-python<5" fixes this'
)
CHOICES: dict[str, str] = {}
"""Package -> 'real', or 'stand-in (reason)', or 'absent (reason)'."""


def _choose(name: str, check: Callable[[ModuleType], object]) -> ModuleType:
    """The real package if it is installed and works, otherwise its stand-in."""
    try:
        # With NumPy 2, the conversions of cv_bridge may end the process.
        if name == 'cv_bridge' and np.__version__ >= '2' and importlib.util.find_spec(name):
            probe_in_subprocess()
        module = importlib.import_module(name)
        check(module)
    except Exception as error:  # the stand-in always works
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            CHOICES[name] = 'stand-in (not installed)'
            _logger.info('%s is not installed: using sgnet_ros.compat.standalone.%s', name, name)
        else:
            cause = f'{type(error).__name__}: {error}'.splitlines()[0]
            CHOICES[name] = f'stand-in ({cause})'
            _logger.warning(BROKEN_PACKAGE, name, cause, name, np.__version__)
        return importlib.import_module(f'sgnet_ros.compat.standalone.{name}')
    CHOICES[name] = 'real'
    _logger.info('%s: %s', name, module.__file__)
    return module


def _optional(name: str, *contents: str) -> ModuleType | None:
    """The module `name` if it is installed and has these contents."""
    package = name.partition('.')[0]
    try:
        module = importlib.import_module(name)
        attrgetter(*contents)(module)
    except (ImportError, AttributeError) as error:
        CHOICES[package] = f'absent ({error})'
        return None
    CHOICES[package] = 'real'
    return module


_message_filters = _choose('message_filters', attrgetter('SimpleFilter', 'Subscriber'))
_cv_bridge = _choose('cv_bridge', probe)

SimpleFilter, Subscriber = _message_filters.SimpleFilter, _message_filters.Subscriber
CvBridge, CvBridgeError = _cv_bridge.CvBridge, _cv_bridge.CvBridgeError
vision_msgs = _optional('vision_msgs.msg', 'LabelInfo', 'VisionClass', 'Detection3DArray')
"""The module `vision_msgs.msg`, or None."""
semantic_inference_msgs = _optional('semantic_inference_msgs.msg', 'Labelspace')
"""The module `semantic_inference_msgs.msg`, or None."""
elevation_map_msgs = _optional('elevation_map_msgs.msg', 'ChannelInfo')
"""The module `elevation_map_msgs.msg`, or None."""
tf2_ros = _optional(
    'tf2_ros', 'Buffer', 'TransformListener', 'TransformException', 'ExtrapolationException'
)
"""The module `tf2_ros`, or None."""
