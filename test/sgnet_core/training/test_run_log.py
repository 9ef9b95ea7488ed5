# SPDX-License-Identifier: Apache-2.0
"""The log of a run: log.jsonl, TensorBoard, progress bar."""

import json
import logging
import sys
from contextlib import closing

import torch  # noqa: F401
import pytest
from networks import untrained

from sgnet_core.errors import SgnetError
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import NYU40
from sgnet_core.training.run_log import RunLog, prediction_sheet


def records(out) -> list[dict]:
    return [json.loads(line) for line in (out / 'log.jsonl').read_text().splitlines()]


@pytest.fixture
def no_tensorboard(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)


@pytest.fixture(scope='module')
def segmenter() -> Segmenter:
    checkpoint = untrained(NYU40)
    return Segmenter(checkpoint.build(), checkpoint.input_spec, NYU40, 'cpu')


def scalars_and_images(out) -> dict[str, list[tuple[int, float]]]:
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    events = accumulator.EventAccumulator(str(out / 'tensorboard')).Reload()
    return {
        name: [(event.step, pytest.approx(event.value)) for event in events.Scalars(name)]
        for name in events.Tags()['scalars']
    } | {name: [e.step for e in events.Images(name)] for name in events.Tags()['images']}


def test_log_epoch_writes_a_line_and_a_point_of_each_curve(tmp_path, caplog):
    with caplog.at_level(logging.INFO), closing(RunLog(tmp_path, epochs=3, images=12)) as log:
        log.log_epoch(1, {'loss': 2.5, 'learning_rate': 0.01})
        log.log_epoch(2, {'loss': 2.0, 'learning_rate': 0.005, 'miou': 0.25})
    assert records(tmp_path) == [
        {'epoch': 1, 'loss': 2.5, 'learning_rate': 0.01},
        {'epoch': 2, 'loss': 2.0, 'learning_rate': 0.005, 'miou': 0.25},
    ]
    assert 'epoch 2/3, loss 2, learning_rate 0.005, miou 0.25, 0:00:' in caplog.text
    assert scalars_and_images(tmp_path) == {
        'loss': [(1, 2.5), (2, 2.0)],
        'learning_rate': [(1, 0.01), (2, 0.005)],
        'miou': [(2, 0.25)],
    }


@pytest.mark.parametrize(
    'incomplete', ['', '{"epoch": 3, "lo', '[1]\n', '{"epoch": "one"}\n', '\udcff\n', '[' * 9999]
)
def test_resume_removes_later_epochs_and_incomplete_lines(tmp_path, incomplete):
    """A killed run can leave a log that is ahead of the training state."""
    with closing(RunLog(tmp_path, epochs=4, images=12)) as log:
        for number in (1, 2):
            log.log_epoch(number, {'loss': 1 / number})
    # TensorBoard sorts event files by name: the second, then a counter without leading zeros.
    (events,) = (tmp_path / 'tensorboard').glob('events.out.tfevents.*')
    events.rename(events.with_name('events.out.tfevents.0'))
    with (tmp_path / 'log.jsonl').open('a', errors='surrogateescape') as file:
        file.write(incomplete)
    with closing(RunLog(tmp_path, epochs=4, images=12, done=1)) as log:
        assert [record['epoch'] for record in records(tmp_path)] == [1]
        for number in (2, 3):
            log.log_epoch(number, {'loss': 3.0})
    losses = [(1, 1.0), (2, 3.0), (3, 3.0)]
    assert [(record['epoch'], record['loss']) for record in records(tmp_path)] == losses
    assert scalars_and_images(tmp_path) == {'loss': losses}


def test_remaining_time_covers_all_remaining_epochs(tmp_path, caplog, monkeypatch, no_tensorboard):
    now = 100.0
    monkeypatch.setattr('sgnet_core.training.run_log.time.monotonic', lambda: now)
    with caplog.at_level(logging.INFO):
        log = RunLog(tmp_path, 16, images=12, done=10)
        now += 120
        log.log_epoch(12, {'loss': 1.0})
        log.close()
    assert 'epoch 12/16, loss 1, 0:04:00 left' in caplog.text


def test_run_log_works_without_tensorboard(
    tmp_path, caplog, no_tensorboard, tiny_samples, segmenter
):
    with caplog.at_level(logging.INFO), closing(RunLog(tmp_path, epochs=2, images=4)) as log:
        log.log_epoch(1, {'loss': 1.0})
        log.log_predictions(1, segmenter, tiny_samples[:1])
    assert caplog.text.count('pip install tensorboard') == 1
    assert not (tmp_path / 'tensorboard').exists()
    assert len(records(tmp_path)) == 1


def test_log_predictions_writes_a_row_of_four_pictures_for_each_frame(
    tmp_path, tiny_samples, segmenter
):
    one, two = (prediction_sheet(segmenter, tiny_samples[:n]) for n in (1, 2))
    assert one.shape[1] == two.shape[1] > 4 * 300
    assert two.shape[0] > one.shape[0] + 200
    with closing(RunLog(tmp_path, epochs=2, images=4)) as log:
        for number in (1, 2):
            log.log_predictions(number, segmenter, tiny_samples[:2])
    assert scalars_and_images(tmp_path) == {'predictions': [1, 2]}


def test_run_log_names_a_log_that_cannot_be_written(tmp_path, no_tensorboard):
    (tmp_path / 'log.jsonl').mkdir()
    with pytest.raises(SgnetError, match=r'log\.jsonl: cannot be written'):
        RunLog(tmp_path, epochs=2, images=4)


def test_full_disk_under_the_curves_is_one_error_without_traceback(
    tmp_path, file_size_limit, capfd
):
    pytest.importorskip('tensorboard')
    log = RunLog(tmp_path, epochs=2, images=4)
    message = r'tensorboard: cannot be written: File too large; raise'
    with file_size_limit(500), pytest.raises(SgnetError, match=message):
        for number in range(1, 20):
            log._writer.add_text('padding', 'x' * 500, number)
            log.log_epoch(number, {})
    assert 'Traceback' not in capfd.readouterr().err
