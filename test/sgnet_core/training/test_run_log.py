# SPDX-License-Identifier: Apache-2.0
"""What a run says while it runs."""

import json
import logging
import sys

import torch  # noqa: F401
import numpy as np
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


def curves(out) -> dict[str, list[tuple[int, float]]]:
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    events = accumulator.EventAccumulator(str(out / 'tensorboard')).Reload()
    return {
        name: [(event.step, pytest.approx(event.value)) for event in events.Scalars(name)]
        for name in events.Tags()['scalars']
    } | {name: [e.step for e in events.Images(name)] for name in events.Tags()['images']}


def test_every_epoch_is_a_line_and_a_point_of_each_curve(tmp_path, caplog):
    with caplog.at_level(logging.INFO), RunLog(tmp_path, epochs=3, images=12) as run_log:
        run_log.log_epoch(1, {'loss': 2.5, 'learning_rate': 0.01})
        run_log.log_epoch(2, {'loss': 2.0, 'learning_rate': 0.005, 'miou': 0.25})
    assert records(tmp_path) == [
        {'epoch': 1, 'loss': 2.5, 'learning_rate': 0.01},
        {'epoch': 2, 'loss': 2.0, 'learning_rate': 0.005, 'miou': 0.25},
    ]
    assert 'epoch 2/3, loss 2, learning_rate 0.005, miou 0.25, 0:00:' in caplog.text
    assert curves(tmp_path) == {
        'loss': [(1, 2.5), (2, 2.0)],
        'learning_rate': [(1, 0.01), (2, 0.005)],
        'miou': [(2, 0.25)],
    }


@pytest.mark.parametrize('half', ['', '{"epoch": 3, "lo', '[1]\n'])
def test_a_resumed_run_writes_no_epoch_twice(tmp_path, half):
    """Killed between two files, the log may be ahead of the state, or end in half a line."""
    with RunLog(tmp_path, epochs=4, images=12) as run_log:
        for number in (1, 2):
            run_log.log_epoch(number, {'loss': 1 / number})
    with (tmp_path / 'log.jsonl').open('a') as file:
        file.write(half)
    with RunLog(tmp_path, epochs=4, images=12, done=1) as run_log:
        assert [record['epoch'] for record in records(tmp_path)] == [1]
        for number in (2, 3):
            run_log.log_epoch(number, {'loss': 3.0})
    assert records(tmp_path) == [
        {'epoch': 1, 'loss': 1.0},
        {'epoch': 2, 'loss': 3.0},
        {'epoch': 3, 'loss': 3.0},
    ]
    assert curves(tmp_path) == {'loss': [(1, 1.0), (2, 3.0), (3, 3.0)]}


def test_the_time_left_is_that_of_all_epochs_to_come(tmp_path, caplog, monkeypatch, no_tensorboard):
    now = 100.0
    monkeypatch.setattr('sgnet_core.training.run_log.time.monotonic', lambda: now)
    with caplog.at_level(logging.INFO), RunLog(tmp_path, 16, images=12, done=10) as run_log:
        now += 120
        run_log.log_epoch(12, {'loss': 1.0})
    assert 'epoch 12/16, loss 1, 0:04:00 left' in caplog.text


def test_progress_shows_epoch_loss_miou_images_and_time(tmp_path, monkeypatch, no_tensorboard):
    shown = []
    monkeypatch.setattr('sys.stderr.isatty', lambda: True, raising=False)
    (tmp_path / 'log.jsonl').write_text('{"epoch": 1, "loss": 3.0, "miou": 0.125}\n')
    with RunLog(tmp_path, epochs=3, images=8, done=1) as run_log:
        for images in (4, 4):
            run_log.update_progress(images, loss=1.5)
            shown.append(str(run_log._bar))
        run_log.log_epoch(2, {'loss': 1.5, 'miou': 0.5})
        run_log.update_progress(4, loss=1.25)
        shown.append(str(run_log._bar))
    assert ' 12/24 ' in shown[0]
    assert 'image' in shown[0].split('[')[1]
    assert 'epoch=2/3, mIoU=0.1250, loss=1.500' in shown[0]
    assert ' 20/24 ' in shown[2]
    assert 'epoch=3/3, mIoU=0.5000, loss=1.250' in shown[2]


def test_without_tensorboard_one_line_says_so_and_the_rest_works(
    tmp_path, caplog, no_tensorboard, tiny_samples, segmenter
):
    with caplog.at_level(logging.INFO), RunLog(tmp_path, epochs=2, images=4) as run_log:
        run_log.log_epoch(1, {'loss': 1.0})
        run_log.log_predictions(1, segmenter, tiny_samples[:1])
    assert caplog.text.count('pip install tensorboard') == 1
    assert not (tmp_path / 'tensorboard').exists()
    assert len(records(tmp_path)) == 1


def test_pictures_of_fixed_frames_stand_beside_the_curves(tmp_path, tiny_samples, segmenter):
    with RunLog(tmp_path, epochs=2, images=4) as run_log:
        for number in (1, 2):
            run_log.log_predictions(number, segmenter, tiny_samples[:2])
    assert curves(tmp_path) == {'predictions': [1, 2]}


def test_a_sheet_has_a_row_a_frame_and_four_pictures_in_it(tiny_samples, segmenter):
    one, two = (prediction_sheet(segmenter, tiny_samples[:n]) for n in (1, 2))
    assert one.dtype == np.uint8
    assert one.shape[1] == two.shape[1] > 4 * 300
    assert two.shape[0] > one.shape[0] + 200


def test_a_log_that_cannot_be_written_is_named(tmp_path, no_tensorboard):
    (tmp_path / 'log.jsonl').mkdir()
    with pytest.raises(SgnetError, match=r'log\.jsonl cannot be written'):
        RunLog(tmp_path, epochs=2, images=4)
