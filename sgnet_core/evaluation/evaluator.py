# SPDX-License-Identifier: Apache-2.0
"""Runs a segmenter over samples: one loop for datasets and bags, in three threads.

While one frame is segmented, the next one is read and the last one is counted.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from tqdm import tqdm

from sgnet_core.errors import InputError
from sgnet_core.evaluation.evaluation import Evaluation, FrameScores
from sgnet_core.inference.temporal_fusion import Fuse
from sgnet_core.labels import LabelSet
from sgnet_core.runtime.malloc_tuning import keep_freed_memory
from sgnet_core.types import Sample, SegmentationResult

if TYPE_CHECKING:
    from sgnet_core.inference.segmenter import Segmenter

MAX_IN_FLIGHT = 3
"""Frames in memory: one waits, one is segmented, one is counted."""

FrameCallback = Callable[[Sample, SegmentationResult, FrameScores], None]


def evaluate(
    segmenter: Segmenter,
    samples: Iterable[Sample],
    total: int | None = None,
    progress: bool = True,
    evaluation: Evaluation | None = None,
    on_frame: FrameCallback | None = None,
    fuse_of: Callable[[Sample], Fuse] | None = None,
) -> Evaluation:
    """Segment every sample and count it, in order.

    After Ctrl-C or an error `evaluation` holds the frames before.

    Args:
        segmenter: has the classes of the labels.
        samples: each with labels or a pose; iterated in this thread.
        total: number of samples, for the progress bar.
        progress: show a bar if standard error is a terminal.
        evaluation: counts the frames; None makes a new one.
        on_frame: is called for each counted frame, in order, in another thread.
        fuse_of: the argument `fuse` of `segmenter.segment` for a sample; called in the order of the
            samples, in another thread.

    Raises:
        InputError: a sample cannot be counted, see `Evaluation.update`.
    """
    # Counting allocates and frees images all the time: it takes half as long with kept memory.
    keep_freed_memory()
    evaluation = Evaluation(segmenter.class_names) if evaluation is None else evaluation

    def segment(sample: Sample) -> tuple[SegmentationResult, float]:
        started = time.perf_counter()
        extra = () if fuse_of is None else (fuse_of(sample),)
        return segmenter.segment(sample.frame, *extra), time.perf_counter() - started

    def count(
        sample: Sample,
        segmented: Future[tuple[SegmentationResult, float]],
        previous: Future[None] | None,
    ) -> None:
        # No frame is counted after one that failed.
        if previous is not None:
            previous.result()
        result, seconds = segmented.result()
        scores = evaluation.update(sample, result, seconds)
        if on_frame is not None:
            on_frame(sample, result, scores)

    in_flight: deque[Future[None]] = deque()
    bar = tqdm(total=total, desc='evaluate', unit='frame', disable=None if progress else True)
    # One thread each keeps the frames in order. The executors finish what was submitted.
    with bar, ThreadPoolExecutor(1) as counting, ThreadPoolExecutor(1) as segmenting:
        try:
            for sample in samples:
                segmented = segmenting.submit(segment, sample)
                previous = in_flight[-1] if in_flight else None
                in_flight.append(counting.submit(count, sample, segmented, previous))
                if len(in_flight) == MAX_IN_FLIGHT:
                    in_flight.popleft().result()
                    bar.update()
            while in_flight:
                in_flight.popleft().result()
                bar.update()
        except KeyboardInterrupt:
            # Waiting frames are cancelled; segmented ones are counted.
            segmenting.shutdown(cancel_futures=True)
            counting.shutdown()
            raise
    return evaluation


def check_same_classes(
    segmenter: Segmenter | LabelSet, class_names: tuple[str, ...] | None, source: str
) -> None:
    """Raise InputError if the labels of `source` have other classes than the checkpoint."""
    expected = segmenter.class_names
    if class_names is None:
        raise InputError(f'{source} has no class names: there are no labels to compare with')
    if tuple(class_names) == expected:
        return
    difference = f'{len(class_names)} classes against {len(expected)}'
    if len(class_names) == len(expected):
        i = next(i for i, name in enumerate(class_names) if name != expected[i])
        difference = f'class {i} is {class_names[i]!r} there and {expected[i]!r} here'
    raise InputError(
        f'{source} and the checkpoint are for other classes: {difference}; use a checkpoint '
        'trained on these classes'
    )
