# SPDX-License-Identifier: Apache-2.0
"""What came of a bag that was played to the node: masks, and metrics that add up."""

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
    """What came of a run.

    Attributes:
        masks: by the stamp, in ns, under which the frame was recorded in the bag.
        class_names: of the node's network.
        about: what the node says of it: `network`, a line for people, `device`, `checkpoint` ...
        played: what play_bag says it sent.
        node: what the node says it received, made and dropped.
        sent_stamps: recorded stamp -> stamp sent, in ns.
    """

    masks: dict[int, ReceivedMask]
    class_names: tuple[str, ...]
    about: dict[str, str]
    played: dict[str, Any]
    node: dict[str, Any]
    sent_stamps: dict[int, int]

    def metrics(self, rgb_topic: str = FrameTopics().rgb) -> dict[str, Any]:
        """The metrics that need no labels; masks + dropped = pairs, always.

        Two causes are ours: `not_recorded`, masks that were published and never arrived here, and
        `unfinished`, pairs that the node was still at when it was stopped. `label_age_ms` is how
        old the newest mask is whenever somebody looks.
        """
        node, masks = self.node, self.masks
        causes = {cause: count for cause, count in node['dropped'].items() if count}
        unpaired = {k: n for k, n in causes.items() if k in BEFORE_PAIRING}
        dropped = {k: n for k, n in causes.items() if k not in BEFORE_PAIRING}
        # The last masks of a node that has ended are in no report of it.
        made = max(node['masks'], len(masks))
        pairs = max(node['pairs'], made + sum(dropped.values()))
        ours = {'not_recorded': made - len(masks)}
        ours['unfinished'] = pairs - made - sum(dropped.values())
        dropped |= {cause: count for cause, count in ours.items() if count}
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
    """How old the newest mask was at each millisecond between the first mask and the last.

    Age counts from the stamp of the colour image: a mask that arrives after 80 ms and is replaced
    100 ms later is 80 to 180 ms old.
    """
    ordered = sorted(masks, key=lambda mask: mask.arrived_s)
    if len(ordered) < 2:
        return np.empty(0)
    arrived_s = np.array([mask.arrived_s for mask in ordered])
    stamped_s = arrived_s - np.array([mask.latency_ms for mask in ordered]) / 1e3
    now_s = np.arange(arrived_s[0], arrived_s[-1], 1e-3)
    newest = np.searchsorted(arrived_s, now_s, side='right') - 1
    return (now_s - np.maximum.accumulate(stamped_s)[newest]) * 1e3


def table(metrics: Mapping[str, Any]) -> str:
    """The metrics for people."""
    latency = metrics['latency_ms'] or {'p50': float('nan'), 'p95': float('nan')}
    fps = metrics['fps']
    rate_hz, age = metrics.get('rate_hz'), metrics.get('label_age_ms')
    rows = [
        ('frames sent', f'{metrics["frames_sent"]}', f'at {rate_hz:g} Hz' if rate_hz else ''),
        ('pairs', f'{metrics["pairs"]}', _causes('never paired', metrics['unpaired'])),
        ('masks', f'{metrics["masks"]}', ''),
        ('dropped', f'{sum(metrics["dropped"].values())}', _causes('', metrics['dropped'])),
        ('frames per second', '-' if fps is None else f'{fps:.1f}', ''),
        ('latency, median', f'{latency["p50"]:.0f} ms', 'colour image sent to mask received'),
        ('latency, 95 %', f'{latency["p95"]:.0f} ms', ''),
    ]
    if age:
        rows.append(('age of labels', f'{age["p50"]:.0f} ms', 'of the newest mask; median'))
    if metrics['processing_ms']:
        processing = f'{metrics["processing_ms"]["p50"]:.0f} ms'
        rows.append(('of that the node', processing, 'conversions, network, publishing; median'))
    if metrics.get('miou') is not None:
        accuracy = f'{100 * metrics["pixel_accuracy"]:.1f} % of pixels right'
        rows.append(('mIoU', f'{100 * metrics["miou"]:.1f} %', accuracy))
    return '\n'.join(f'{name:18} {value:>9}   {note}'.rstrip() for name, value, note in rows)


def _causes(what: str, counts: Mapping[str, int]) -> str:
    listed = ', '.join(f'{cause} {count}' for cause, count in sorted(counts.items()))
    return f'{what} {listed}'.strip() if listed else ''
