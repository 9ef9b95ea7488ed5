# SPDX-License-Identifier: Apache-2.0
"""What differs between Humble, Jazzy and Kilted, as far as it is used; nothing else knows.

Every class, function and argument of rclpy in use is there in all three, one module under another
name. Not used, because Humble lacks them: `matched` events (play_bag asks for the count of
subscribers instead) and parameter callbacks before and after a change; nor lifecycle nodes that
launch_ros starts (ours start themselves).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Name the profile of Fast DDS 2 (Humble, Jazzy) and 3 (Kilted)."""

FAST_DDS_2 = ('humble', 'jazzy')

RCLPY_PARAMETERS = ('use_sim_time', 'start_type_description_service')
"""Of every node; the second one since Jazzy."""
RCLPY_PREFIX = 'qos_overrides.'


def profile_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Those that the Fast DDS here reads; both where nobody says which distribution it is.

    Version 3 reads the older one as well, and complains about it.
    """
    older, newer = PROFILE_VARIABLES
    if 'ROS_DISTRO' not in environ:
        return PROFILE_VARIABLES
    return (older,) if environ['ROS_DISTRO'] in FAST_DDS_2 else (newer,)


def stay_on_this_machine(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that keep ROS on this machine; what the user has set is kept."""
    if environ.get('ROS_DISTRO') == 'humble':
        return {'ROS_LOCALHOST_ONLY': environ.get('ROS_LOCALHOST_ONLY', '1')}
    if 'ROS_LOCALHOST_ONLY' in environ:
        # It still works since Iron, with a warning.
        return {}
    name = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
    return {name: environ.get(name, 'LOCALHOST')}


def no_publisher_events() -> Any:
    """`event_callbacks` of a publisher that has none, see `no_subscription_events`."""
    return _event_handler().PublisherEventCallbacks(use_default_callbacks=False)


def no_subscription_events() -> Any:
    """`event_callbacks` of a subscription that has none.

    The default ones warn of QoS that does not match, which the watchdog does as well. With those
    of every publisher and subscription of the node, rclpy's executor takes three times as long
    between two messages.
    """
    return _event_handler().SubscriptionEventCallbacks(use_default_callbacks=False)


def _event_handler() -> Any:
    try:
        import rclpy.event_handler as events
    except ImportError:  # Humble
        import rclpy.qos_event as events
    return events
