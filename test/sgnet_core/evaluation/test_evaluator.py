# SPDX-License-Identifier: Apache-2.0
"""The loop of every evaluation: order, concurrency, errors."""

import threading

import numpy as np
import pytest

from sgnet_core.errors import InputError
from sgnet_core.evaluation import Evaluation, evaluate
from sgnet_core.evaluation.evaluator import MAX_IN_FLIGHT
from sgnet_core.labels import NYU40
from sgnet_core.types import SegmentationResult

DEADLINE_S = 20


class Numbering:
    """A network that labels its n-th frame with class n."""

    class_names = NYU40.class_names

    def __init__(self, before=lambda number: None):
        self.frames, self._before = 0, before

    def segment(self, frame):
        self._before(self.frames)
        labels = np.full(frame.size, self.frames % 40, np.uint8)
        self.frames += 1
        return SegmentationResult(labels, np.ones(frame.size, np.float32), self.class_names)


def test_frames_are_counted_in_order(tiny_samples):
    seen = []

    def on_frame(sample, result, counts):
        seen.append((sample.id, int(result.labels[0, 0]), counts.id))

    evaluation = evaluate(Numbering(), tiny_samples, progress=False, on_frame=on_frame)
    assert seen == [(str(i), i, str(i)) for i in range(5)]
    assert [frame.id for frame in evaluation.frames] == list('01234')
    assert all(frame.seconds > 0 for frame in evaluation.frames)


def test_reading_segmenting_and_counting_overlap(tiny_samples):
    read, counted = threading.Event(), threading.Event()
    waited = []

    def segmenting(number):
        if number == 1:
            waited.extend([read.wait(DEADLINE_S), counted.wait(DEADLINE_S)])

    def samples():
        yield from tiny_samples[:2]
        read.set()
        yield from tiny_samples[2:]

    evaluate(Numbering(segmenting), samples(), progress=False, on_frame=lambda *_: counted.set())
    assert waited == [True, True]


def test_reading_ahead_is_bounded(tiny_samples):
    read, counted, ahead = [], [], []

    def samples():
        for sample in tiny_samples * 6:
            read.append(sample.id)
            ahead.append(len(read) - len(counted))
            yield sample

    evaluate(Numbering(), samples(), progress=False, on_frame=lambda *_: counted.append(1))
    assert len(counted) == 30
    # The frame that was waited for has been counted, or its callback runs.
    assert max(ahead) <= MAX_IN_FLIGHT


def test_frames_before_a_read_error_are_counted(tiny_samples):
    def broken():
        yield from tiny_samples[:4]
        raise OSError('the disk is gone')

    evaluation = Evaluation(NYU40.class_names)
    with pytest.raises(OSError, match='the disk is gone'):
        evaluate(Numbering(), broken(), evaluation=evaluation, progress=False)
    assert [frame.id for frame in evaluation.frames] == list('0123')


def test_errors_of_segmenting_and_counting_are_raised(tiny_samples):
    def failing(number):
        if number == 2:
            raise InputError('the GPU is gone')

    evaluation = Evaluation(NYU40.class_names)
    with pytest.raises(InputError, match='the GPU is gone'):
        evaluate(Numbering(failing), tiny_samples, evaluation=evaluation, progress=False)
    assert [frame.id for frame in evaluation.frames] == ['0', '1']

    class OtherSize(Numbering):
        def segment(self, frame):
            result = super().segment(frame)
            return SegmentationResult(result.labels[1:], result.confidence[1:], NYU40.class_names)

    with pytest.raises(InputError, match='a prediction must have the size of the labels'):
        evaluate(OtherSize(), tiny_samples, progress=False)
