# SPDX-License-Identifier: Apache-2.0
"""The messages of the node on /diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header

from sgnet_ros.compat.distributions import no_publisher_events
from sgnet_ros.monitoring.causes import difference
from sgnet_ros.monitoring.counters import Counters, Counts, percentiles
from sgnet_ros.topics import DIAGNOSTICS


class Diagnostics:
    """Publishes /diagnostics every `period_s`, in every state of the node.

    Args:
        network: returns the description of the network; {} = not loaded.
        problem: returns the cause of missing output; '' if there is output.
        period_s: 0 = only on `publish()`.
    """

    def __init__(
        self,
        node: Node,
        counters: Counters,
        network: Callable[[], dict[str, str]],
        problem: Callable[[], str],
        period_s: float,
    ) -> None:
        self._node = node
        self._counters = counters
        self._network = network
        self._problem = problem
        self._before, self._before_s = counters.counts(), time.monotonic()
        topic = DIAGNOSTICS.kind, DIAGNOSTICS.name, DIAGNOSTICS.qos
        self._publisher = node.create_publisher(*topic, event_callbacks=no_publisher_events())
        if period_s:
            node.create_timer(period_s, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Publish now. Rates are averages since the previous call."""
        now, now_s = self._counters.counts(), time.monotonic()
        # With the namespace: the nodes of two cameras have the same name.
        name = self._node.get_fully_qualified_name().lstrip('/')
        stamp = self._node.get_clock().now().to_msg()
        counts = now, self._before, now_s - self._before_s
        message = diagnostics_to_msg(name, stamp, *counts, self._network(), self._problem())
        self._publisher.publish(message)
        self._before, self._before_s = now, now_s


def diagnostics_to_msg(
    node_name: str,
    stamp: Time,
    now: Counts,
    before: Counts,
    period_s: float,
    network: dict[str, str],
    problem: str = '',
) -> DiagnosticArray:
    """Two statuses, `<node>: frames` and `<node>: network`.

    Keys of the first: `pairs`, `masks`, `dropped.<cause>`, `received.<stream>` since the start;
    `rate_hz.<what>`; of the last masks `latency_ms.p50` and `.p95` (colour stamp to publication),
    `processing_ms.p50` and `.p95`, and `stage_ms.<stage>.p50` and `.p95`, whose sum is the latency.
    `now` and `before` are `period_s` seconds apart. `network` and `problem`: see `Diagnostics`.
    """
    status = DiagnosticStatus(
        level=DiagnosticStatus.WARN if problem else DiagnosticStatus.OK,
        name=f'{node_name}: frames',
        message=problem or now.line(),
        values=_key_values(_frames(now, difference(now, before), period_s)),
    )
    model = DiagnosticStatus(
        level=DiagnosticStatus.OK if network else DiagnosticStatus.STALE,
        name=f'{node_name}: network',
        message=network.get('network', 'not loaded'),
        values=_key_values(network),
    )
    return DiagnosticArray(header=Header(stamp=stamp), status=[status, model])


def _frames(now: Counts, change: Counts, period_s: float) -> dict[str, str]:
    values = {'pairs': str(now.pairs), 'masks': str(now.masks)}
    values |= {f'dropped.{cause}': str(n) for cause, n in sorted(now.dropped.items())}
    values |= {f'received.{stream}': str(n) for stream, n in sorted(now.received.items())}
    counted = {stream: change.received.get(stream, 0) for stream in sorted(now.received)}
    counted |= {'pairs': change.pairs, 'masks': change.masks}
    values |= {f'rate_hz.{what}': f'{n / period_s:.1f}' for what, n in counted.items()}
    stages = {f'stage_ms.{stage}': times for stage, times in now.stages_ms.items()}
    totals = {'latency_ms': now.latency_ms, 'processing_ms': now.processing_ms}
    for name, times in (totals | stages).items():
        values |= {f'{name}.{p}': f'{ms:.1f}' for p, ms in (percentiles(times) or {}).items()}
    return values


def _key_values(values: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value) for key, value in values.items()]
