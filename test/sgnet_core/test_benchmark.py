# SPDX-License-Identifier: Apache-2.0
"""The benchmark measures what it says, in the order it says, and adds up. No test asserts a time.

Ratios and targets are in `test_benchmark_figures`, the command is in `test_benchmark_command`.
"""

import json
import platform
from dataclasses import replace

import torch
import numpy as np
import pytest

from sgnet_core.benchmark import clock, training
from sgnet_core.benchmark.clock import Budget, interleave
from sgnet_core.benchmark.im2col import im2col_deform_conv2d, im2col_deform_conv2d_keeping_columns
from sgnet_core.benchmark.memory import peak_mb
from sgnet_core.benchmark.memory_process import MemoryProcess
from sgnet_core.benchmark.networks import NetworkCase, build, checkpoint_of, segment_call
from sgnet_core.benchmark.operators import (
    OFFSET_STD,
    Position,
    contenders,
    positions,
    positions_of_all,
    random_inputs,
)
from sgnet_core.benchmark.plan import OPERATOR_VARIANTS
from sgnet_core.benchmark.results import Key, Row
from sgnet_core.benchmark.sensor import generated_bytes, network_size
from sgnet_core.errors import InputError
from sgnet_core.machine import cpu_class, describe
from sgnet_core.model import SGNet, SGNetConfig, modulated_deform_conv2d

WINDOWS = (
    {'stride': 1, 'padding': 1, 'dilation': 1},
    {'stride': (2, 1), 'padding': (1, 0), 'dilation': (1, 2)},
)


@pytest.mark.parametrize('window', WINDOWS)
@pytest.mark.parametrize(
    'im2col', [im2col_deform_conv2d, im2col_deform_conv2d_keeping_columns], ids=lambda f: f.__name__
)
def test_im2col_computes_the_same_and_so_do_its_gradients(im2col, window):
    torch.manual_seed(2)
    x, weight, bias = torch.randn(3, 4, 7, 9), torch.randn(5, 4, 3, 2), torch.randn(5)
    out = torch.nn.functional.conv2d(x, weight, **window).shape[2:]
    offset = 3 * torch.randn(3, 12, *out)
    offset[0, :2] = 100.0
    tensors = [t.double() for t in (x, offset, torch.rand(3, 6, *out), weight, bias)]
    results = []
    for convolve in (modulated_deform_conv2d, im2col):
        inputs = [t.clone().requires_grad_() for t in tensors]
        y = convolve(*inputs, **window)
        gradients = torch.autograd.grad(y.square().sum(), inputs)
        results.append((y, *gradients))
    # Coordinates are float32 in one of them or in both.
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-3)


def test_im2col_takes_offsets_that_are_no_numbers_for_outside():
    x, weight = torch.ones(2, 1, 5, 6), torch.ones(1, 1, 1, 1)
    for bad in (float('nan'), float('inf'), -float('inf'), 1e30):
        offset = torch.full((2, 2, 5, 6), bad)
        y = im2col_deform_conv2d(x, offset, torch.ones(2, 1, 5, 6), weight)
        assert not y.any()


def test_calls_take_turns():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in 'ABC'}

    def timer(call):
        call()
        return float(len(order))

    times = interleave(calls, Budget(0, least_rounds=4), timer)
    assert ''.join(order) == 5 * 'ABC'
    assert times == {'A': [4, 7, 10, 13], 'B': [5, 8, 11, 14], 'C': [6, 9, 12, 15]}


def test_a_rest_comes_before_every_call(monkeypatch):
    events = []
    monkeypatch.setattr(clock.time, 'sleep', events.append)
    interleave({'A': lambda: None}, Budget(0, 2, rest_s=0.25), lambda call: events.append('A'))
    assert events == [0.25, 'A', 0.25, 'A']


def test_rounds_end_at_their_limit():
    times = interleave({'A': lambda: None}, Budget(1e9, most_rounds=6), lambda call: 1.0)
    assert times == {'A': [1.0] * 6}


def test_a_call_that_fails_is_left_out_with_its_words():
    def fail():
        raise RuntimeError('no kernel for Half\nCPU: registered at ...')

    ready, problems = clock.working({'A': fail, 'B': lambda: 1}, lambda call: lambda: call() + 1)
    assert problems == {'A': 'it fails here: no kernel for Half'}
    assert {key: call() for key, call in ready.items()} == {'B': 2}


@pytest.mark.parametrize('error', [ValueError('bad\nmore'), KeyError('bad'), OSError('bad')])
def test_any_failure_leaves_the_others(error):
    def fail():
        raise error

    ready, problems = clock.working({'A': fail, 'B': lambda: 1})
    assert list(ready) == ['B']
    assert problems['A'].replace("'", '') == 'it fails here: bad'


def test_ctrl_c_is_no_failure():
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clock.working({'A': interrupt})


def test_a_row_says_median_and_percentile_of_its_rounds():
    times = [3.0, 1.0, 2.0, 10.0]
    row = Row(Key('network', 'n', 'torch', 'fp32', '48x64'), 'v', times, 5.0, {'spatial': 'depth'})
    values = row.as_json('cpu')
    assert (values['median_ms'], values['fps'], values['min_ms']) == (2.5, 400.0, 1.0)
    assert values['p95_ms'] == pytest.approx(np.percentile(times, 95))
    wanted = ('name', 'variant', 'backend', 'device', 'precision', 'size', 'peak_mb', 'spatial')
    assert [values[key] for key in wanted] == [
        'n', 'v', 'torch', 'cpu', 'fp32', '48x64', 5.0, 'depth',
    ]  # fmt: skip
    empty = replace(row, times_ms=(), peak_mb=None).as_json('cpu')
    assert (empty['median_ms'], empty['p95_ms'], empty['peak_mb']) == (None, None, None)


def test_positions_are_those_of_the_network():
    found = positions('sgnet_r50', (90, 130))
    assert [p.name for p in found] == SGNet(SGNetConfig('sgnet_r50')).sconv_positions()
    # At 96x160: strides 4, 8, 16; the first of the second and third stage carry a stride.
    assert [(p.x_shape, p.window['stride']) for p in found[2:5]] == [
        ((64, 24, 40), 1), ((128, 24, 40), 2), ((128, 12, 20), 1),
    ]  # fmt: skip
    assert found[3].out_size == (12, 20)
    assert {p.out_size for p in found[6:]} == {(6, 10)}
    assert found[-1].weight_shape == (512, 512, 3, 3)
    # R101 has more blocks, but no S-Conv of another shape.
    assert positions_of_all(OPERATOR_VARIANTS, (90, 130)) == found


@pytest.mark.parametrize('stride', [1, 2])
def test_every_contender_computes_the_same(stride):
    window = {'stride': stride, 'padding': 1, 'dilation': 1}
    position = Position('v', 'p', (4, 9, 14), (6, 4, 3, 3), window)
    inputs = random_inputs(
        Position.from_json(json.loads(json.dumps(position.as_json()))), 'cpu', 'fp32'
    )
    calls, missing = contenders(inputs, ('reference', 'im2col', 'onnxruntime', 'torchvision'))
    assert not {backend for backend, _ in calls} & set(missing)
    plain = calls.pop(('conv2d', 'contiguous'))()
    torch.testing.assert_close(calls.pop(('conv2d', 'channels_last'))(), plain)
    expected = calls.pop(('sgnet', 'channels_last'))()
    assert expected.shape == plain.shape == (1, 6, *position.out_size)
    assert {backend for backend, _ in calls} >= {'reference', 'im2col'}
    for call in calls.values():
        y = call()
        y = torch.from_numpy(y[0]) if isinstance(y, list) else y
        torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


def test_random_networks_are_the_same_every_time_and_their_offsets_are_not_zero():
    case = NetworkCase('sgnet_lite0', 'depth', True, 'torch', 'fp32', (60, 90))
    first, second = checkpoint_of(case), checkpoint_of(case)
    assert first.input_spec.size == (64, 96)
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
    with torch.no_grad():
        network = first.build()
        spatial = 1 + 4 * torch.rand(2, 1, 64, 96)
        geometry = network.geometry(torch.randn(2, 3, 64, 96), spatial)
    for offset, _ in geometry.values():
        assert 0.3 * OFFSET_STD < offset.std() < 3 * OFFSET_STD


def test_what_is_compared_gives_the_same_mask(tmp_path):
    case = NetworkCase('sgnet_lite0', 'depth', True, 'torch', 'fp32', (60, 90))
    fused, unfused = (
        segment_call(build(case, 'cpu', tmp_path), case.size)()
        for case in (case, replace(case, fused=False))
    )
    assert fused.labels.shape == (60, 90)
    assert (fused.labels == unfused.labels).mean() > 0.999
    # Not twice the same network: rounding differs.
    assert (fused.confidence != unfused.confidence).any()


@pytest.mark.parametrize('change', [{'backend': 'onnxruntime'}, {'fused': False}])
def test_what_has_only_fp32_says_so(change, tmp_path):
    case = NetworkCase('sgnet_lite0', 'depth', True, 'torch', 'bf16', (60, 90))
    with pytest.raises(InputError, match='compute in fp32 only'):
        build(replace(case, **change), 'cpu', tmp_path)


def test_sensor_bytes_become_a_frame():
    sensor = generated_bytes((48, 70))
    frame = sensor.frame()
    assert frame.size == (48, 70)
    holes = sensor.depth_mm == 0
    assert 0 < holes.mean() < 0.3
    np.testing.assert_array_equal(np.isnan(frame.depth_m), holes)
    np.testing.assert_allclose(frame.depth_m[~holes], sensor.depth_mm[~holes] / 1000, rtol=1e-6)
    assert network_size((240, 320)) == (256, 320)


def test_training_uses_the_substitute_and_puts_ours_back():
    ours = training.sconv.modulated_deform_conv2d
    with training.operator_replaced('im2col'):
        assert training.sconv.modulated_deform_conv2d is im2col_deform_conv2d
    assert training.sconv.modulated_deform_conv2d is ours


def test_peak_memory_is_that_of_the_call():
    peak = peak_mb(lambda: torch.ones(50_000_000), 'cpu')
    if peak is None:
        pytest.skip('this system does not tell the high-water mark of a process')
    assert 195 < peak < 260


def test_memory_process_answers_and_says_what_went_wrong():
    position = Position('v', 'p', (4, 30, 50), (6, 4, 3, 3), WINDOWS[0])
    case = NetworkCase('sgnet_r7', 'depth', True, 'torch', 'fp32', (64, 96))
    with MemoryProcess('cpu') as process:
        peaks, problem = process.measure(
            'operator', positions=[position.as_json()], precision='fp32', wanted=['im2col']
        )
        assert problem == ''
        assert [entry[:3] for entry in peaks] == [
            ['p', 'sgnet', 'channels_last'],
            ['p', 'conv2d', 'contiguous'],
            ['p', 'conv2d', 'channels_last'],
            ['p', 'im2col', 'contiguous'],
        ]
        peaks, problem = process.measure('network', cases=[case.as_json()], graphs='.')
        assert peaks == []
        assert "unknown variant 'sgnet_r7'" in problem
        process._server.kill()
        process._server.wait()
        assert process.measure('training', backend='sgnet', size=(64, 96)) == (
            [],
            'memory of training: the process that measures it has ended',
        )


def test_the_machine_is_described_without_its_name(monkeypatch):
    monkeypatch.setenv('OMP_WAIT_POLICY', 'PASSIVE')
    assert describe('cpu')['openmp']['OMP_WAIT_POLICY'] == 'PASSIVE'
    values = json.dumps(describe('cpu'))
    assert 'CPU cores' in cpu_class()
    assert torch.__version__ in values
    assert platform.node() not in values
