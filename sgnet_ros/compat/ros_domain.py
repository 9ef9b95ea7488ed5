# SPDX-License-Identifier: Apache-2.0
"""A private ROS domain for the processes of a test run or a demo."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping

from sgnet_core.errors import SgnetError
from sgnet_ros.compat.distributions import localhost_only

# The ports of higher domains are in the ephemeral range of Linux.
DOMAINS = range(1, 102)


def private_domain(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables of a private domain, to set before rclpy starts; those in `environ` are kept."""
    changes = localhost_only(environ)
    if 'ROS_DOMAIN_ID' not in environ:
        changes['ROS_DOMAIN_ID'] = str(free_domain_id())
    return changes


def free_domain_id() -> int:
    """A domain that is not in use on this machine; SgnetError if all are."""
    for domain in random.sample(DOMAINS, len(DOMAINS)):
        if all(map(_is_free, discovery_ports(domain))):
            return domain
    raise SgnetError('every ROS domain on this machine is in use; set ROS_DOMAIN_ID')


def discovery_ports(domain: int) -> tuple[int, int]:
    """UDP ports of the first participant of a domain (DDSI-RTPS 9.6.1)."""
    multicast = 7400 + 250 * domain
    return multicast, multicast + 10


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.bind(('', port))
        except OSError:
            return False
    return True
