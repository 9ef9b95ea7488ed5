# SPDX-License-Identifier: Apache-2.0
"""The differences between Humble, Jazzy, Kilted and Lyrical; all are handled here.

All have every class, function and argument of rclpy in use; one module has two names. Not used,
because Humble lacks them: `matched` events (play_bag counts subscribers instead), parameter
callbacks before and after a change, and lifecycle nodes that launch_ros starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sgnet_core.errors import ConfigError

PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""The variables of Fast DDS 2 (Humble, Jazzy) and 3 (Kilted) for a profile."""

RCLPY_PARAMETERS = ('use_sim_time', 'start_type_description_service')
"""The parameters of every node; the second one exists since Jazzy."""
RCLPY_PREFIX = 'qos_overrides.'


def profile_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that the installed Fast DDS reads; both if the distribution is unknown.

    Version 3 also reads the older one, with a warning.
    """
    if 'ROS_DISTRO' not in environ:
        return PROFILE_VARIABLES
    has_fast_dds_2 = environ['ROS_DISTRO'] in ('humble', 'jazzy')
    return PROFILE_VARIABLES[:1] if has_fast_dds_2 else PROFILE_VARIABLES[1:]


def apt_package(package: str, environ: Mapping[str, str]) -> str:
    """The apt package of a ROS package: `ros-jazzy-rviz2`."""
    return f'ros-{environ.get("ROS_DISTRO", "DISTRO")}-{package.replace("_", "-")}'


def localhost_only(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that limit ROS to this machine; those of the user are kept."""
    if environ.get('ROS_DISTRO') == 'humble':
        return {'ROS_LOCALHOST_ONLY': environ.get('ROS_LOCALHOST_ONLY', '1')}
    if 'ROS_LOCALHOST_ONLY' in environ:
        # Deprecated since Iron, but it still works.
        return {}
    name = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
    return {name: environ.get(name, 'LOCALHOST')}


EXECUTORS = ('single_threaded', 'events')


def make_executor(kind: str, context: Any) -> Any:
    """One of `EXECUTORS`; ConfigError if rclpy is too old for it (Humble)."""
    if kind == 'events':
        try:
            from rclpy.experimental import EventsExecutor
        except ImportError as error:
            raise ConfigError(
                f'parameter executor: this rclpy has no events executor ({error}); use '
                'single_threaded'
            ) from error
        return EventsExecutor(context=context)
    from rclpy.executors import SingleThreadedExecutor

    return SingleThreadedExecutor(context=context)


def no_publisher_events() -> Any:
    """`event_callbacks` for a publisher without events, see `no_subscription_events`."""
    return _event_handler().PublisherEventCallbacks(use_default_callbacks=False)


def no_subscription_events() -> Any:
    """`event_callbacks` for a subscription without events.

    The default callbacks warn about incompatible QoS, as the watchdog does. They triple the time
    of rclpy's executor between two messages.
    """
    return _event_handler().SubscriptionEventCallbacks(use_default_callbacks=False)


def _event_handler() -> Any:
    try:
        import rclpy.event_handler as events
    except ImportError:  # Humble
        import rclpy.qos_event as events
    return events
