# SPDX-License-Identifier: Apache-2.0
"""The inference worker: queue, rate limit, errors and counts of dropped items."""

import queue
import random
import threading
import time

import pytest

from sgnet_core.errors import InputError
from sgnet_ros.node.inference_worker import MAX_FAILURES, InferenceWorker

DEADLINE_S = 20.0


class Harness:
    """A worker whose every item waits for `allow()`; events go to queues."""

    def __init__(self, **options):
        self.entered = queue.Queue()
        self.allowed = threading.Semaphore(0)
        self.handled, self.bad, self.failures, self.dropped = [], [], queue.Queue(), []
        self.worker = InferenceWorker(
            self._handle, self.bad.append, self.failures.put, self.dropped.append, **options
        )

    def _handle(self, item):
        self.entered.put(item)
        assert self.allowed.acquire(timeout=DEADLINE_S)
        if isinstance(item, Exception):
            raise item
        self.handled.append(item)

    def allow(self, count=1):
        self.allowed.release(count)

    def next_entered(self):
        return self.entered.get(timeout=DEADLINE_S)


@pytest.fixture
def harness():
    made = []

    def make(**options):
        made.append(Harness(**options))
        return made[-1]

    yield make
    for one in made:
        one.allow(1000)
        assert one.worker.stop(DEADLINE_S)


def test_newest_item_replaces_the_waiting_one(harness):
    h = harness()
    h.worker.offer(0)
    assert h.next_entered() == 0
    for item in (1, 2, 3):
        h.worker.offer(item)
    h.allow(2)
    assert h.next_entered() == 3
    assert h.worker.stop(DEADLINE_S)
    assert h.handled == [0, 3]
    assert h.dropped == ['newer_frame'] * 2


def test_larger_capacity_keeps_order_and_bounds_the_queue(harness):
    h = harness(capacity=4)
    h.worker.offer('first')
    assert h.next_entered() == 'first'
    for item in range(7):
        h.worker.offer(item)
    assert h.dropped == ['queue_full'] * 3
    h.allow(1000)
    assert [h.next_entered() for _ in range(4)] == [3, 4, 5, 6]


def test_input_error_concerns_one_item(harness):
    h = harness()
    error = InputError('a bad frame')
    h.worker.offer(error)
    assert h.next_entered() is error
    h.allow()
    h.worker.offer('good')
    assert h.next_entered() == 'good'
    h.allow()
    assert h.worker.stop(DEADLINE_S)
    assert (h.bad, h.handled) == ([error], ['good'])
    assert h.failures.empty()


def test_other_error_concerns_one_item(harness):
    h = harness(capacity=100)
    h.allow(1000)
    errors = [ZeroDivisionError('a defect') for _ in range(MAX_FAILURES - 1)]
    for item in [*errors, 'good', *errors, InputError('bad'), 'good']:
        h.worker.offer(item)
        h.next_entered()
    assert h.worker.stop(DEADLINE_S)
    assert h.handled == ['good', 'good']
    assert len(h.bad) == 2 * len(errors) + 1
    assert h.failures.empty()
    assert h.dropped == []


def test_repeated_errors_end_the_worker(harness):
    h = harness(capacity=100)
    h.allow(1000)
    error = ZeroDivisionError('a defect')
    for item in [error, InputError('bad'), *[error] * (MAX_FAILURES - 1)]:
        h.worker.offer(item)
    assert h.failures.get(timeout=DEADLINE_S) is error
    h.worker.offer('too late')
    assert h.worker.stop(DEADLINE_S)
    assert h.handled == []
    assert len(h.bad) == MAX_FAILURES + 1, 'each is counted'
    assert h.dropped == ['stopped']


def test_stop_counts_waiting_items_and_returns_false_after_the_timeout(harness):
    h = harness()
    h.worker.offer(0)
    assert h.next_entered() == 0
    h.worker.offer(1)
    assert not h.worker.stop(timeout_s=0.01)
    assert h.dropped == ['stopped']
    assert h.worker.busy_s > 0
    h.allow()
    assert h.worker.stop(DEADLINE_S)
    assert h.handled == [0]
    assert h.worker.busy_s == 0


def test_error_after_stop_is_not_a_failure(harness):
    """The resources of the item may be released already."""
    h = harness()
    h.worker.offer(RuntimeError('the publisher is destroyed'))
    h.next_entered()
    h.worker.stop(timeout_s=0.01)
    h.allow()
    assert h.worker.stop(DEADLINE_S)
    assert h.failures.empty()
    assert h.dropped == ['stopped']


def test_max_rate_delays_items_and_keeps_the_newest(harness):
    rate = 1e-6  # once in eleven days
    h = harness(max_rate_hz=lambda: rate)
    h.allow(1000)
    h.worker.offer(0)
    assert h.next_entered() == 0
    for item in (1, 2, 3):
        h.worker.offer(item)
    assert h.dropped == ['newer_frame'] * 2
    assert h.entered.empty()
    rate = 0.0
    h.worker.offer(4)
    assert h.next_entered() == 4


@pytest.mark.parametrize('seed', range(5))
def test_every_item_is_handled_or_counted(seed):
    rng = random.Random(seed)
    handled, dropped, bad = [], [], []

    def handle(item):
        if item % 7 == 0:
            raise InputError(str(item))
        handled.append(item)

    worker = InferenceWorker(handle, bad.append, pytest.fail, dropped.append)
    for item in range(500):
        worker.offer(item)
        if rng.random() < 0.1:
            time.sleep(0)  # lets the worker in
    assert worker.stop(DEADLINE_S)
    assert len(handled) + len(dropped) + len(bad) == 500
    assert handled == sorted(handled)
