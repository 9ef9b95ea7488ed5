# SPDX-License-Identifier: Apache-2.0
"""The result of a replay: masks and consistent metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.monitoring.counters import percentiles
from sgnet_ros.replay.mask_subscriber import BEFORE_PAIRING, ReceivedMask

PERCENTS = (50, 95, 99)


@dataclass(frozen=True)
class ReplayResult:
    """The result of a replay.

    Attributes:
        masks: by recorded stamp of the frame, in ns.
        about: status of the network: `network`, `device`, `checkpoint` ...
        played, node: JSON results of play_bag and of the node.
        sent_stamps: recorded stamp -> stamp sent, in ns.
    """

    masks: dict[int, ReceivedMask]
    class_names: tuple[str, ...]
    about: dict[str, str]
    played: dict[str, Any]
    node: dict[str, Any]
    sent_stamps: dict[int, int]

    def metrics(self, rgb_topic: str = FrameTopics().rgb) -> dict[str, Any]:
        """The metrics without labels; masks + dropped = pairs.

        The causes also count `not_recorded` masks, which did not arrive, and `unfinished` pairs,
        which were in progress when the node stopped.
        """
        node, masks = self.node, self.masks
        causes = {cause: count for cause, count in node['dropped'].items() if count}
        unpaired = {k: n for k, n in causes.items() if k in BEFORE_PAIRING}
        dropped = {k: n for k, n in causes.items() if k not in BEFORE_PAIRING}
        # If a running node has ended, its last masks are missing in its reports.
        made = max(node['masks'], len(masks))
        pairs = max(node['pairs'], made + sum(dropped.values()))
        unfinished = pairs - made - sum(dropped.values())
        added = {'not_recorded': made - len(masks), 'unfinished': unfinished}
        dropped |= {cause: count for cause, count in added.items() if count}
        arrivals = [mask.arrived_s for mask in masks.values()]
        spread_s = max(arrivals) - min(arrivals) if len(arrivals) > 1 else 0.0
        return {
            'frames_sent': self.played['messages'][rgb_topic],
            'received': node['received'],
            'unpaired': unpaired,
            'pairs': pairs,
            'masks': len(masks),
            'dropped': dropped,
            'fps': (len(masks) - 1) / spread_s if spread_s > 0 else None,
            'latency_ms': percentiles([mask.latency_ms for mask in masks.values()], PERCENTS),
            'label_age_ms': percentiles(label_ages_ms(masks.values()), PERCENTS),
            'processing_ms': node['processing_ms'],
        }


def label_ages_ms(masks: Iterable[ReceivedMask]) -> np.ndarray:
    """Time since the colour stamp of the newest mask, at each millisecond of the replay.

    Replays of more than 1000 s are sampled a million times.
    """
    ordered = sorted(masks, key=lambda mask: mask.arrived_s)
    if len(ordered) < 2:
        return np.empty(0)
    arrived_s = np.array([mask.arrived_s for mask in ordered])
    stamped_s = arrived_s - np.array([mask.latency_ms for mask in ordered]) / 1e3
    step_s = max(1e-3, (arrived_s[-1] - arrived_s[0]) / 1e6)
    now_s = np.arange(arrived_s[0], arrived_s[-1], step_s)
    newest = np.searchsorted(arrived_s, now_s, side='right') - 1
    return (now_s - np.maximum.accumulate(stamped_s)[newest]) * 1e3


def table(metrics: Mapping[str, Any]) -> str:
    """The metrics as text."""
    latency = metrics['latency_ms'] or {'p50': float('nan'), 'p95': float('nan')}
    fps = metrics['fps']
    rate_hz, age = metrics.get('rate_hz'), metrics.get('label_age_ms')
    rows = [
        ('frames sent', f'{metrics["frames_sent"]}', f'at {rate_hz:g} Hz' if rate_hz else ''),
        ('pairs', f'{metrics["pairs"]}', _causes('not paired: ', metrics['unpaired'])),
        ('masks', f'{metrics["masks"]}', ''),
        ('dropped', f'{sum(metrics["dropped"].values())}', _causes('', metrics['dropped'])),
        ('frames per second', '-' if fps is None else f'{fps:.1f}', ''),
        ('latency, median', f'{latency["p50"]:.0f} ms', 'colour image sent to mask received'),
        ('latency, 95 %', f'{latency["p95"]:.0f} ms', ''),
    ]
    if age:
        rows.append(('age of labels', f'{age["p50"]:.0f} ms', 'median of the newest mask'))
    if metrics['processing_ms']:
        processing = f'{metrics["processing_ms"]["p50"]:.0f} ms'
        rows.append(('node, median', processing, 'conversions, network, publishing'))
    if metrics.get('miou') is not None:
        accuracy = f'pixel accuracy {100 * metrics["pixel_accuracy"]:.1f} %'
        rows.append(('mIoU', f'{100 * metrics["miou"]:.1f} %', accuracy))
    return '\n'.join(f'{name:18} {value:>9}   {note}'.rstrip() for name, value, note in rows)


def _causes(prefix: str, counts: Mapping[str, int]) -> str:
    causes = ', '.join(f'{cause} {count}' for cause, count in sorted(counts.items()))
    return prefix + causes if causes else ''
