# SPDX-License-Identifier: Apache-2.0
"""Time of an evaluation beside its masks: reading, decoding and counting.

Times are those of one frame. The network is the bundled one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import study

from sgnet_core.benchmark.synthetic_frames import Size
from sgnet_core.benchmark.timing import time_by_turns
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.data.synthetic import RoomDataset
from sgnet_core.evaluation import Evaluation, evaluate
from sgnet_core.inference.segmenter import Segmenter

FRAMES = 8
MASKS, COUNTS, WHOLE = 'masks', 'counts', 'evaluation'


def calls(size: Size, device: str, folder: Path) -> dict[str, Callable[[], object]]:
    """Masks of frames in memory, counts of those masks, and a whole evaluation from files."""
    rooms = RoomDataset(FRAMES, size, seed=1, frames_per_room=FRAMES, sensor_noise=True)
    with FolderWriter(folder, 'rooms', rooms.intrinsics, rooms.class_names) as writer:
        for sample in (rooms[i] for i in range(FRAMES)):
            writer.write(replace(sample, pose=None))
    data = FolderDataset(folder)
    samples = [data[i] for i in range(FRAMES)]
    segmenter = Segmenter.from_checkpoint(device=device)
    results = [segmenter.segment(sample.frame) for sample in samples]

    def segment() -> None:
        for sample in samples:
            segmenter.segment(sample.frame)

    def count() -> None:
        evaluation = Evaluation(segmenter.class_names)
        for sample, result in zip(samples, results, strict=True):
            evaluation.update(sample, result)

    whole = lambda: evaluate(segmenter, data, progress=False)  # noqa: E731
    return {MASKS: segment, COUNTS: count, WHOLE: whole}


def main() -> None:
    args = study.start(study.options(__doc__))
    with tempfile.TemporaryDirectory() as folder:
        found = calls(args.size, args.device, Path(folder) / 'rooms')
        times, _ = time_by_turns(found, args.seconds)
    size = '{}x{}'.format(*args.size)
    rows = [
        study.row([ms / FRAMES for ms in of_rounds], part=name, size=size)
        for name, of_rounds in times.items()
    ]
    medians = {row['part']: row['median_ms'] for row in rows}
    study.show(args, rows, {'evaluation_over_masks': medians[WHOLE] / medians[MASKS]})


if __name__ == '__main__':
    main()
