# SPDX-License-Identifier: Apache-2.0
"""What the demo tells about a run: a table and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sgnet_core.evaluation import ConfusionMatrix
from sgnet_core.labels import label_set_of
from sgnet_core.types import UNLABELLED, Sample
from sgnet_core.visualization.drawing import depth_to_rgb, legend_entries, overlay
from sgnet_core.visualization.figures import contact_sheet
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.frames import BagFrames, stamp_of
from sgnet_ros.bag.reader import Bag
from sgnet_ros.replay.mask_subscriber import ReceivedMask
from sgnet_ros.replay.result import ReplayResult

SHEET_ROWS = 5
VISIBLE = 0.003
"""Share of a picture below which a class is not worth a line of the legend."""


@dataclass(frozen=True)
class SelectedFrame:
    """One frame for the contact sheet.

    Attributes:
        number: of the frame in the bag, from 0.
        sample: colour, depth and, where known, exact labels.
        mask: as the node published it.
    """

    number: int
    sample: Sample
    mask: ReceivedMask

    def caption(self) -> str:
        """What the picture does not show."""
        text = f'frame {self.number}: mask {self.mask.latency_ms:.0f} ms after the camera'
        truth = self.sample.labels
        if truth is None or not (truth != UNLABELLED).any():
            return text
        right = (truth == self.mask.load())[truth != UNLABELLED].mean()
        return f'{text}, {100 * right:.0f} % of its pixels right'


def compare(
    bag_path: Path, result: ReplayResult, class_names: tuple[str, ...] | None
) -> tuple[dict[str, Any], list[SelectedFrame]]:
    """Masks against the frames and exact labels in the bag.

    Args:
        class_names: what the labels in the bag mean; None = there are none.

    Returns:
        Scores as `evaluate` has them, empty without labels of the network's classes; and frames
        for the contact sheet.
    """
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
    """`count` of the items, each from the middle of its share; all where there are no more."""
    if len(items) <= count:
        return list(items)
    return [items[int((index + 0.5) * len(items) / count)] for index in range(count)]


def visible_classes(labels: np.ndarray) -> set[int]:
    """The class ids of more than a few specks: `VISIBLE` of the pixels or more."""
    counts = np.bincount(labels.ravel(), minlength=256)
    return set(np.flatnonzero(counts >= max(1, VISIBLE * labels.size)).tolist())


def contact_sheet_of(
    selected: Sequence[SelectedFrame], result: ReplayResult, metrics: Mapping[str, Any]
) -> np.ndarray:
    """Colour, depth, what the node says and, where known, the truth, row by row; a legend."""
    names = result.class_names
    palette = label_set_of(names).palette
    # Labels of other classes than the network's are not drawn: their colours would mean nothing.
    with_truth = 'miou' in metrics
    rows, captions = [], []
    present: set[int] = set()
    for item in selected:
        frame, labels = item.sample.frame, item.mask.load()
        row = [frame.rgb, depth_to_rgb(frame.depth_m), overlay(frame.rgb, labels, palette)]
        present |= visible_classes(labels)
        if with_truth:
            row.append(overlay(frame.rgb, item.sample.labels, palette))
            present |= visible_classes(item.sample.labels)
        rows.append(row)
        captions.append(item.caption())
    titles = ['colour', 'depth', 'mask of the node', 'exact labels'][: len(rows[0])]
    title = f'SGNet over ROS 2: {metrics["source"]}, {metrics["masks"]} masks'
    return contact_sheet(rows, titles, captions, title, legend_entries(names, palette, present))
