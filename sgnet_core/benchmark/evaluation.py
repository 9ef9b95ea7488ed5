# SPDX-License-Identifier: Apache-2.0
"""What an evaluation costs beside the masks: reading, decoding and counting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sgnet_core.benchmark.results import Key
from sgnet_core.benchmark.sensor import Size
from sgnet_core.data.folder import FolderDataset, FolderWriter
from sgnet_core.data.rooms.dataset import RoomDataset
from sgnet_core.evaluation import Evaluation, evaluate
from sgnet_core.segmenter import Segmenter

FRAMES = 8
"""That one call works on."""

MASKS, COUNTS, WHOLE = 'masks', 'counts', 'evaluation'
"""Masks of frames in memory; counting them; and all of an evaluation, from files to counts."""


def row_key(name: str, size: Size) -> Key:
    """Of the row of one of the three; its times are those of one frame."""
    return Key('evaluation', name, 'auto', 'auto', f'{size[0]}x{size[1]}')


def calls(size: Size, device: str, backend: str, folder: Path) -> dict[Key, Callable[[], object]]:
    """Each of the three for `FRAMES` generated frames, which are written into `folder`.

    The network is the one that ships, in the precision that is the fastest.
    """
    rooms = RoomDataset(FRAMES, size, seed=1, frames_per_room=FRAMES, sensor_noise=True)
    with FolderWriter(folder, 'rooms', rooms.intrinsics, rooms.class_names) as writer:
        for sample in (rooms[i] for i in range(FRAMES)):
            writer.write(replace(sample, pose=None))
    data = FolderDataset(folder)
    samples = [data[i] for i in range(FRAMES)]
    segmenter = Segmenter.from_checkpoint(device=device, backend=backend)
    results = [segmenter.segment(sample.frame) for sample in samples]

    def segment() -> None:
        for sample in samples:
            segmenter.segment(sample.frame)

    def count() -> None:
        evaluation = Evaluation(segmenter.class_names)
        for sample, result in zip(samples, results, strict=True):
            evaluation.update(sample, result)

    return {
        row_key(MASKS, size): segment,
        row_key(COUNTS, size): count,
        row_key(WHOLE, size): lambda: evaluate(segmenter, data, progress=False),
    }
