# SPDX-License-Identifier: Apache-2.0
"""What differs between Humble, Jazzy and Kilted, as far as it is used; nothing else knows.

Every class, function and argument of rclpy in use is there in all three. Not used, because Humble
lacks them: `matched` events (play_bag asks for the count of subscribers instead) and parameter
callbacks before and after a change; nor `qos_event`, which became `event_handler`, nor lifecycle
nodes that launch_ros starts (ours start themselves).
"""

from __future__ import annotations

from collections.abc import Mapping

PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Name the profile of Fast DDS 2 (Humble, Jazzy) and 3 (Kilted)."""

RCLPY_PARAMETERS = ('use_sim_time', 'start_type_description_service')
"""Of every node; the second one since Jazzy."""
RCLPY_PREFIX = 'qos_overrides.'


def stay_on_this_machine(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that keep ROS on this machine; what the user has set is kept."""
    if environ.get('ROS_DISTRO') == 'humble':
        return {'ROS_LOCALHOST_ONLY': environ.get('ROS_LOCALHOST_ONLY', '1')}
    if 'ROS_LOCALHOST_ONLY' in environ:
        # It still works since Iron, with a warning.
        return {}
    name = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
    return {name: environ.get(name, 'LOCALHOST')}
