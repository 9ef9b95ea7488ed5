# SPDX-License-Identifier: Apache-2.0
"""The values of the parameters of a node: declared, checked, and read as one consistent set."""

from __future__ import annotations

import array
import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from sgnet_core.errors import ConfigError, InputError, reject_unknown_keys
from sgnet_ros.compat.distributions import RCLPY_PARAMETERS, RCLPY_PREFIX
from sgnet_ros.parameters import KNOWN


class NodeParameters:
    """Declares `NODE_PARAMETERS` on a node and reads them: `parameters['sync.slop']`.

    The node needs `automatically_declare_parameters_from_overrides`, so that rclpy lists unknown
    parameters as well.

    Args:
        is_configured: whether the node has read the parameters that are not dynamic.
        check: called before a change at run time with the values of all parameters and the names
            of those that are set; raises InputError if the node cannot use them.

    Raises:
        ConfigError: an unknown parameter is set, or a known one to an invalid value.
    """

    def __init__(
        self,
        node: Node,
        is_configured: Callable[[], bool],
        check: Callable[[Mapping[str, Any], Collection[str]], None] = lambda values, names: None,
    ) -> None:
        self._node = node
        self._check_usable = check
        self._is_configured = is_configured
        given = {name: item.value for name, item in node.get_parameters_by_prefix('').items()}
        ours = [
            name
            for name in given
            if name not in RCLPY_PARAMETERS and not name.startswith(RCLPY_PREFIX)
        ]
        reject_unknown_keys(ours, KNOWN, f'the parameters of {node.get_fully_qualified_name()}')
        for name in ours:
            node.undeclare_parameter(name)
        values = {
            name: item.validated(given.get(name, item.default)) for name, item in KNOWN.items()
        }
        _check_consistency(values)
        for name, parameter in KNOWN.items():
            node.declare_parameter(name, values[name], parameter.descriptor(), ignore_override=True)
        self._frozen = threading.local()
        node.add_on_set_parameters_callback(self._check)

    def __getitem__(self, name: str) -> Any:
        held = getattr(self._frozen, 'values', {})
        if name in held:
            return held[name]
        value = self._node.get_parameter(name).value
        return list(value) if isinstance(value, array.array) else value

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within the context, this thread sees constant values, so that a frame is consistent."""
        self._frozen.values = {name: self[name] for name, item in KNOWN.items() if item.dynamic}
        try:
            yield
        finally:
            self._frozen.values = {}

    @property
    def depth_range_m(self) -> tuple[float, float]:
        """(nearest, farthest) valid depth."""
        return self['depth.min'], self['depth.max'] or math.inf

    def _check(self, changes: list[Parameter]) -> SetParametersResult:
        ours = {change.name: change.value for change in changes if change.name in KNOWN}
        fixed = [name for name in ours if not KNOWN[name].dynamic]
        if fixed and self._is_configured():
            reason = (
                f'parameter {fixed[0]} can change only while the node is unconfigured: deactivate '
                'it and clean it up first (ros2 lifecycle set), then configure it again'
            )
            return SetParametersResult(successful=False, reason=reason)
        try:
            checked = {name: KNOWN[name].validated(value) for name, value in ours.items()}
            values = {name: self[name] for name in KNOWN} | checked
            _check_consistency(values)
            self._check_usable(values, checked)
        except InputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def _check_consistency(values: Mapping[str, Any]) -> None:
    """Raise ConfigError if two parameters contradict each other."""
    nearest, farthest = values['depth.min'], values['depth.max']
    if 0 < farthest <= nearest:
        raise ConfigError(
            f'parameter depth.max must be 0 or above depth.min {nearest}, got {farthest}'
        )
    if (values['camera.fx'] > 0) != (values['camera.fy'] > 0):
        raise ConfigError(
            'parameters camera.fx and camera.fy must both be given, or both be 0, got '
            f'{values["camera.fx"]} and {values["camera.fy"]}'
        )
