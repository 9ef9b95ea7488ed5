# SPDX-License-Identifier: Apache-2.0
"""The benchmark measures what it reports. No test asserts a time."""

import json
import os
import platform
import signal

import torch
import numpy as np
import pytest

from sgnet_core.__main__ import COMMANDS
from sgnet_core.benchmark import suite, timing
from sgnet_core.benchmark.memory_process import in_fresh_process, peak_mb
from sgnet_core.benchmark.networks import OFFSET_STD, network_size, random_checkpoint
from sgnet_core.benchmark.report import as_text
from sgnet_core.benchmark.synthetic_frames import frame_from_images, synthetic_images
from sgnet_core.benchmark.timing import time_by_turns
from sgnet_core.cli.runner import INTERRUPTED, main
from sgnet_core.errors import SgnetError
from sgnet_core.runtime.environment import cpu_class, describe

KEYS = {'name', 'variant', 'backend', 'device', 'precision', 'size', 'median_ms', 'p95_ms',
        'peak_mb'}  # fmt: skip


def run(*options):
    return main('sgnet_core', COMMANDS, ['benchmark', '--device', 'cpu', *map(str, options)])


def test_calls_take_turns_after_a_pause():
    events, rests = [], []
    calls = {name: lambda name=name: events.append(name) for name in 'ABC'}

    def timer(call):
        call()
        return float(len(events))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing.time, 'sleep', rests.append)
        times, problems = time_by_turns(calls, 0.0, timer=timer)
    assert ''.join(events) == 'AABBCC' + 5 * 'ABC'
    assert times['A'] == [7, 10, 13, 16, 19]
    assert times['C'] == [9, 12, 15, 18, 21]
    assert rests == [timing.REST_S] * 15
    assert not problems


@pytest.mark.parametrize('error', [RuntimeError('bad\nmore'), KeyError('bad'), OSError('bad')])
def test_a_failing_call_is_reported(error):
    def fail():
        raise error

    calls = {'A': fail, 'B': lambda: 1}
    times, problems = time_by_turns(
        calls, 0.0, lambda call: lambda: call() + 1, lambda call: call()
    )
    assert times == {'B': [2] * 5}
    assert problems['A'].replace("'", '') == 'fails on this machine: bad'


@pytest.mark.parametrize(
    ('option', 'value', 'message'),
    [
        ('--variant', 'resnet50', "unknown variant 'resnet50'; choose from shipped, sgnet_r18, "),
        ('--size', '32x640', 'height and width must be at least 64, got 32x640'),
        ('--seconds', '-1', '--seconds must be from 0 to 86400 seconds, got -1'),
        ('--seconds', 'nan', '--seconds must be from 0 to 86400 seconds, got nan'),
    ],
)
def test_wrong_options_are_errors(option, value, message, capsys):
    assert run(option, value) == 2
    assert message in capsys.readouterr().err


def test_random_networks_are_reproducible_and_have_offsets():
    first, second = (random_checkpoint('sgnet_lite0', (60, 90)) for _ in range(2))
    assert first.input_spec.size == (64, 96)
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
    with torch.no_grad():
        network = first.build()
        spatial = 1 + 4 * torch.rand(2, 1, 64, 96)
        geometry = network.offsets_and_masks(torch.randn(2, 3, 64, 96), spatial)
    for offset, _ in geometry.values():
        assert 0.3 * OFFSET_STD < offset.std() < 3 * OFFSET_STD


def test_raw_images_become_a_frame():
    rgb, depth_mm = synthetic_images((48, 70))
    frame = frame_from_images(rgb, depth_mm)
    assert frame.size == (48, 70)
    missing = depth_mm == 0
    assert 0 < missing.mean() < 0.3
    np.testing.assert_array_equal(np.isnan(frame.depth_m), missing)
    np.testing.assert_allclose(frame.depth_m[~missing], depth_mm[~missing] / 1000, rtol=1e-6)
    assert network_size((240, 320)) == (256, 320)


def test_peak_memory_is_measured_above_the_level_before():
    peak = peak_mb(lambda: torch.ones(50_000_000), 'cpu')
    if peak is None:
        pytest.skip('this system does not report the high-water mark of a process')
    assert 195 < peak < 260


def test_a_fresh_process_returns_the_result_or_the_error():
    parent = os.getpid()
    assert in_fresh_process(os.getpid) != parent
    with pytest.raises(OSError, match='No such file'):
        in_fresh_process(os.stat, '/no/such/file')
    with pytest.raises(SgnetError, match='was killed'):
        in_fresh_process(signal.raise_signal, signal.SIGKILL)


def test_the_machine_is_described_without_its_name(monkeypatch):
    monkeypatch.setenv('OMP_WAIT_POLICY', 'PASSIVE')
    assert describe('cpu')['openmp']['OMP_WAIT_POLICY'] == 'PASSIVE'
    values = json.dumps(describe('cpu'))
    assert 'CPU cores' in cpu_class()
    assert torch.__version__ in values
    assert platform.node() not in values


def test_ratios_compare_backends_and_precisions_at_one_size():
    medians = {
        ('sgnet_r50', '480x640', 'torch', 'fp32'): 12.0,
        ('sgnet_r50', '480x640', 'onnxruntime', 'fp32'): 18.0,
        ('sgnet_r50', '480x640', 'torch', 'bf16'): 6.0,
        ('sgnet_r50', '240x320', 'torch', 'fp32'): 2.0,
        ('sgnet_r50', '240x320', 'onnxruntime', 'fp32'): 1.0,
        ('sgnet_lite0', '480x640', 'onnxruntime', 'fp32'): 4.0,
    }
    keys = ('name', 'size', 'backend', 'precision', 'median_ms')
    rows = [dict(zip(keys, (*key, ms), strict=True)) for key, ms in medians.items()]
    config = suite.BenchmarkConfig('cpu', precisions=('fp32', 'bf16'))
    assert suite.ratios(rows, config) == {
        'onnxruntime_over_torch.sgnet_r50': 1.5,
        'bf16_over_fp32.sgnet_r50': 0.5,
        'onnxruntime_over_torch.sgnet_r50.240x320': 0.5,
    }


def test_the_command_writes_the_fixed_keys(tmp_path, capsys):
    path = tmp_path / 'results.json'
    options = ['--variant', 'sgnet_lite0', '--size', '64x96', '--seconds', 0, '--json', path]
    options += ['--precision', 'fp32', '--precision', 'bf16', '--backend', 'torch']
    assert run(*options) == 0
    values = json.loads(path.read_text())
    assert {'protocol', 'rows', 'ratios', 'not_measured'} == set(values)
    first, second = values['rows']
    assert set(first) >= KEYS
    assert (first['name'], first['size'], first['device']) == ('sgnet_lite0', '64x96', 'cpu')
    assert 0 < first['median_ms'] <= first['p95_ms']
    assert 5 < first['peak_mb'] < 500
    ratio = values['ratios']['bf16_over_fp32.sgnet_lite0']
    assert ratio == pytest.approx(second['median_ms'] / first['median_ms'], rel=0.01)
    assert values['protocol']['interrupted'] is False
    assert values['not_measured'] == {}
    assert f'{first["median_ms"]:.2f}' in capsys.readouterr().out


def test_unsupported_combinations_are_reported_with_their_reason(tmp_path):
    config = suite.BenchmarkConfig('cpu', ['sgnet_lite0'], ['onnxruntime'], ['bf16'])
    values = suite.run_suite(config)
    assert values['rows'] == []
    reasons = {'sgnet_lite0 480x640 onnxruntime bf16': 'ONNX Runtime computes in fp32 only'}
    assert values['not_measured'] == reasons
    assert reasons.popitem()[1] in as_text(values)


def test_an_interrupted_run_keeps_finished_networks(monkeypatch, capsys):
    def measure(name, *args):
        if name == 'sgnet_r34':
            raise KeyboardInterrupt
        values = dict.fromkeys((*KEYS, 'input_size'), name)
        return [values | {'median_ms': 4.0, 'p95_ms': 4.0, 'fps': 250.0, 'peak_mb': 7.0}], {}

    monkeypatch.setattr(suite, 'measure', measure)
    assert run('--variant', 'sgnet_r18', '--variant', 'sgnet_r34', '--json', '-') == INTERRUPTED
    values = json.loads(capsys.readouterr().out)
    assert values['protocol']['interrupted'] is True
    assert [row['name'] for row in values['rows']] == ['sgnet_r18']
