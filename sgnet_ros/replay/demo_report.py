# SPDX-License-Identifier: Apache-2.0
"""The contact sheet and the scores of the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sgnet_core.evaluation import ConfusionMatrix
from sgnet_core.io.images import read_rgb
from sgnet_core.labels import label_set_of
from sgnet_core.types import UNLABELLED, Sample
from sgnet_core.visualization.depth_colors import depth_to_rgb
from sgnet_core.visualization.figures import contact_sheet
from sgnet_core.visualization.legend import legend_entries
from sgnet_core.visualization.overlay import overlay_image
from sgnet_core.visualization.region_names import write_region_names
from sgnet_core.visualization.video import mask_video
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.frames import BagFrames, stamp_of
from sgnet_ros.bag.reader import Bag
from sgnet_ros.replay.mask_subscriber import ReceivedMask
from sgnet_ros.replay.result import ReplayResult

SHEET_ROWS = 5
VISIBLE = 0.003
"""Share of the pixels from which a class appears in the legend."""


@dataclass(frozen=True)
class SelectedFrame:
    """One frame of the contact sheet; `number` is its index in the bag."""

    number: int
    sample: Sample
    mask: ReceivedMask

    def caption(self) -> str:
        """Number, latency and accuracy."""
        text = f'frame {self.number}: latency {self.mask.latency_ms:.0f} ms'
        truth = self.sample.labels
        if truth is None or not (truth != UNLABELLED).any():
            return text
        accuracy = (truth == self.mask.load())[truth != UNLABELLED].mean()
        return f'{text}, pixel accuracy {100 * accuracy:.0f} %'


def compare(
    bag_path: Path, result: ReplayResult, class_names: tuple[str, ...] | None
) -> tuple[dict[str, Any], list[SelectedFrame]]:
    """The scores, empty without labels of the network's classes; frames for the sheet."""
    topics = FrameTopics() if class_names else FrameTopics(labels=None)
    confusion = ConfusionMatrix(class_names) if class_names == result.class_names else None
    numbers = {stamp: number for number, stamp in enumerate(result.sent_stamps)}
    chosen = evenly_spread(sorted(result.masks), SHEET_ROWS)
    selected = []
    with Bag(bag_path) as bag:
        for sample in BagFrames(bag, topics):
            stamp = stamp_of(sample)
            mask = result.masks.get(stamp)
            if mask is None:
                continue
            if confusion is not None:
                confusion.update(sample.labels, mask.load())
            if stamp in chosen:
                selected.append(SelectedFrame(numbers[stamp], sample, mask))
    return {} if confusion is None else confusion.scores(), selected


def evenly_spread(items: Sequence[Any], count: int) -> list[Any]:
    """`count` of the items, evenly spread; all if there are fewer."""
    if len(items) <= count:
        return list(items)
    return [items[int((index + 0.5) * len(items) / count)] for index in range(count)]


def visible_classes(labels: np.ndarray) -> set[int]:
    """The classes with at least `VISIBLE` of the pixels."""
    counts = np.bincount(labels.ravel(), minlength=256)
    return set(np.flatnonzero(counts >= max(1, VISIBLE * labels.size)).tolist())


def contact_sheet_of(
    selected: Sequence[SelectedFrame], result: ReplayResult, metrics: Mapping[str, Any]
) -> np.ndarray:
    """An image with colour, depth, mask and, if known, labels of each frame, and a legend."""
    names = result.class_names
    palette = label_set_of(names).palette
    has_labels = 'miou' in metrics  # labels of the network's classes
    rows, captions = [], []
    present: set[int] = set()
    for item in selected:
        frame, labels = item.sample.frame, item.mask.load()
        row = [frame.rgb, depth_to_rgb(frame.depth_m)]
        for shown in (labels, item.sample.labels) if has_labels else (labels,):
            row.append(write_region_names(overlay_image(frame.rgb, shown, palette), shown, names))
            present |= visible_classes(shown)
        rows.append(row)
        captions.append(item.caption())
    titles = ['colour', 'depth', 'mask of the node', 'exact labels'][: len(rows[0])]
    title = f'SGNet over ROS 2: {metrics["source"]}, {metrics["masks"]} masks'
    return contact_sheet(rows, titles, captions, title, legend_entries(names, palette, present))


def write_video(path: Path, overlays: Path, result: ReplayResult, rate_hz: float) -> None:
    """The overlays `frame_NUMBER.png` with a legend of their masks as MP4."""
    names = result.class_names
    with mask_video(path, rate_hz, names, label_set_of(names).palette) as add:
        for number, stamp in enumerate(result.sent_stamps):
            overlay = overlays / f'frame_{number:06d}.png'
            if stamp in result.masks and overlay.exists():
                add(read_rgb(overlay), result.masks[stamp].load())
