# SPDX-License-Identifier: Apache-2.0
"""Runs a segmenter over samples: one loop for data sets and bags.

samples ─► segment ─► count        three threads: while one frame is segmented, the next
                                   is read and the last is counted
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
) -> Evaluation:
    """Segment every sample and count it, in order.

    Ctrl-C and every error end it between two frames: `evaluation` then holds those before, of
    samples that break off all that came.

    Args:
        segmenter: whose classes are those of the labels.
        samples: each with labels or with a pose; iterated in this thread.
        total: how many samples there are, for the progress bar.
        progress: show one where standard error is a terminal.
        evaluation: to count in; None makes a new one.
        on_frame: is given every frame that was counted, in another thread, one after the other.

    Raises:
        InputError: a sample is none that can be counted, see `Evaluation.update`.
    """
    # Counting makes and frees images all the time: it takes half as long where they are kept.
    keep_freed_memory()
    evaluation = Evaluation(segmenter.class_names) if evaluation is None else evaluation

    def segment(sample: Sample) -> tuple[SegmentationResult, float]:
        started = time.perf_counter()
        return segmenter.segment(sample.frame), time.perf_counter() - started

    def count(
        sample: Sample,
        segmented: Future[tuple[SegmentationResult, float]],
        before: Future[None] | None,
    ) -> None:
        # After a frame that failed none is counted.
        if before is not None:
            before.result()
        result, seconds = segmented.result()
        counts = evaluation.update(sample, result, seconds)
        if on_frame is not None:
            on_frame(sample, result, counts)

    in_flight: deque[Future[None]] = deque()
    bar = tqdm(total=total, desc='evaluate', unit='frame', disable=None if progress else True)
    # One thread each, so that frames stay in order; what was read when this ends is finished.
    with bar, ThreadPoolExecutor(1) as counting, ThreadPoolExecutor(1) as segmenting:
        try:
            for sample in samples:
                segmented = segmenting.submit(segment, sample)
                before = in_flight[-1] if in_flight else None
                in_flight.append(counting.submit(count, sample, segmented, before))
                if len(in_flight) == MAX_IN_FLIGHT:
                    in_flight.popleft().result()
                    bar.update()
            while in_flight:
                in_flight.popleft().result()
                bar.update()
        except KeyboardInterrupt:
            # What only waits is not begun; what is segmented is counted.
            segmenting.shutdown(cancel_futures=True)
            counting.shutdown()
            raise
    return evaluation


def check_same_classes(
    segmenter: Segmenter | LabelSet, class_names: tuple[str, ...] | None, of: str
) -> None:
    """Raise InputError where the labels of `of` name other classes than the checkpoint's."""
    if class_names is None:
        raise InputError(f'{of} has no class names: there are no labels to compare with')
    if tuple(class_names) == segmenter.class_names:
        return
    if len(class_names) != len(segmenter.class_names):
        difference = f'{len(class_names)} classes against {len(segmenter.class_names)}'
    else:
        pairs = zip(class_names, segmenter.class_names, strict=True)
        i, (truth, known) = next((i, p) for i, p in enumerate(pairs) if p[0] != p[1])
        difference = f'class {i} is {truth!r} there and {known!r} here'
    raise InputError(
        f'{of} and the checkpoint are for other classes: {difference}; use a checkpoint trained '
        'on these classes'
    )
