# SPDX-License-Identifier: Apache-2.0
"""The benchmark measures what it says, in the order it says. No test asserts a time."""

import json
import os
import platform
import signal
from dataclasses import replace

import torch
import numpy as np
import pytest

from sgnet_core.__main__ import COMMANDS
from sgnet_core.benchmark import suite, timing
from sgnet_core.benchmark.config import DEFAULT_VARIANTS, BenchmarkConfig
from sgnet_core.benchmark.memory_process import in_fresh_process, peak_mb
from sgnet_core.benchmark.networks import (
    OFFSET_STD,
    NetworkCase,
    build,
    checkpoint_of,
    segment_call,
)
from sgnet_core.benchmark.report import as_json, as_text
from sgnet_core.benchmark.synthetic_frames import network_size, synthetic_images
from sgnet_core.benchmark.timing import Budget, take_turns, working
from sgnet_core.cli.runner import INTERRUPTED, main
from sgnet_core.errors import InputError, SgnetError
from sgnet_core.io.files import check_json_destination
from sgnet_core.model.sgnet import VARIANTS
from sgnet_core.runtime.environment import cpu_class, describe

CASE = NetworkCase('sgnet_lite0', (60, 90))


def test_calls_take_turns():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in 'ABC'}

    def timer(call):
        call()
        return float(len(order))

    times = take_turns(calls, Budget(0, min_rounds=4), timer)
    assert ''.join(order) == 5 * 'ABC'
    assert times == {'A': [4, 7, 10, 13], 'B': [5, 8, 11, 14], 'C': [6, 9, 12, 15]}


def test_a_rest_comes_before_every_call(monkeypatch):
    events = []
    monkeypatch.setattr(timing.time, 'sleep', events.append)
    take_turns({'A': lambda: None}, Budget(0, 2, rest_s=0.25), lambda call: events.append('A'))
    assert events == [0.25, 'A', 0.25, 'A']


def test_rounds_end_at_their_limit():
    times = take_turns({'A': lambda: None}, Budget(1e9, max_rounds=6), lambda call: 1.0)
    assert times == {'A': [1.0] * 6}


@pytest.mark.parametrize('error', [RuntimeError('bad\nmore'), KeyError('bad'), OSError('bad')])
def test_a_call_that_fails_is_left_out_with_its_error(error):
    def fail():
        raise error

    ready, problems = working({'A': fail, 'B': lambda: 1}, lambda call: lambda: call() + 1)
    assert {key: call() for key, call in ready.items()} == {'B': 2}
    assert problems['A'].replace("'", '') == 'fails on this machine: bad'


def test_ctrl_c_is_not_a_failure():
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        working({'A': interrupt})


@pytest.mark.parametrize(
    ('option', 'value', 'message'),
    [
        ('--variant', 'resnet50', "unknown variant 'resnet50'; choose from sgnet_r18, "),
        ('--backend', 'tensorrt', "unknown backend 'tensorrt'; choose from torch, onnxruntime"),
        ('--precision', 'int8', "unknown precision 'int8'; choose from fp32, fp16, bf16"),
        ('--size', '32x640', 'height and width must be at least 64, got 32x640'),
        ('--seconds', '-1', '--seconds must be 0 or more, got -1'),
        ('--seconds', 'nan', '--seconds must be 0 or more, got nan'),
    ],
)
def test_wrong_options_are_named(option, value, message, capsys):
    assert main('sgnet_core', COMMANDS, ['benchmark', '--device', 'cpu', option, value]) == 2
    assert message in capsys.readouterr().err


def test_random_networks_are_equal_every_time_and_their_offsets_are_not_zero():
    first, second = checkpoint_of(CASE), checkpoint_of(CASE)
    assert first.input_spec.size == (64, 96)
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
    with torch.no_grad():
        network = first.build()
        spatial = 1 + 4 * torch.rand(2, 1, 64, 96)
        geometry = network.geometry(torch.randn(2, 3, 64, 96), spatial)
    for offset, _ in geometry.values():
        assert 0.3 * OFFSET_STD < offset.std() < 3 * OFFSET_STD


def test_fused_and_unfused_give_the_same_mask(tmp_path):
    fused, unfused = (
        segment_call(build(case, 'cpu', tmp_path), case.size)()
        for case in (CASE, replace(CASE, fused=False))
    )
    assert fused.labels.shape == (60, 90)
    assert (fused.labels == unfused.labels).mean() > 0.999
    # Not the same network twice: rounding differs.
    assert (fused.confidence != unfused.confidence).any()


@pytest.mark.parametrize('change', [{'backend': 'onnxruntime'}, {'fused': False}])
def test_a_network_in_fp32_only_says_so(change, tmp_path):
    with pytest.raises(InputError, match='compute in fp32 only'):
        build(replace(CASE, precision='bf16', **change), 'cpu', tmp_path)


def test_raw_images_become_a_frame():
    images = synthetic_images((48, 70))
    frame = images.frame()
    assert frame.size == (48, 70)
    missing = images.depth_mm == 0
    assert 0 < missing.mean() < 0.3
    np.testing.assert_array_equal(np.isnan(frame.depth_m), missing)
    np.testing.assert_allclose(frame.depth_m[~missing], images.depth_mm[~missing] / 1000, rtol=1e-6)
    assert network_size((240, 320)) == (256, 320)


def test_peak_memory_is_that_of_the_call():
    peak = peak_mb(lambda: torch.ones(50_000_000), 'cpu')
    if peak is None:
        pytest.skip('this system does not tell the high-water mark of a process')
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
    config = BenchmarkConfig('cpu', precisions=('fp32', 'bf16'))
    full, half = (NetworkCase('sgnet_r50', size) for size in ((480, 640), (240, 320)))
    shipped = NetworkCase('shipped', (480, 640))
    medians = {
        full: 12.0,
        replace(full, backend='onnxruntime'): 18.0,
        replace(full, precision='bf16'): 6.0,
        half: 2.0,
        replace(half, backend='onnxruntime'): 1.0,
        shipped: 8.0,
        replace(shipped, backend='onnxruntime'): 4.0,
        NetworkCase('sgnet_lite0', (480, 640), 'onnxruntime'): 4.0,
    }
    rows = {case: suite.Row(case, [1.0, ms, 100.0], '480x640') for case, ms in medians.items()}
    assert suite.ratios(suite.Results(rows), config) == {
        'onnxruntime_over_torch.sgnet_r50': 1.5,
        'bf16_over_fp32.sgnet_r50': 0.5,
        'onnxruntime_over_torch.sgnet_r50.240x320': 0.5,
    }


def test_default_groups_cover_the_shipped_network_and_half_size():
    found = suite.groups(BenchmarkConfig('cpu', variants=[*DEFAULT_VARIANTS, 'sgnet_lite2']))
    listed = {(cases[0].variant, cases[0].size) for cases in found}
    assert {('shipped', (480, 640)), ('sgnet_lite0', (240, 320))} <= listed
    assert ('sgnet_r50', (240, 320)) not in listed
    assert {case.backend for case in found[0]} == {'torch', 'onnxruntime'}


def test_quick_writes_the_fixed_keys(tmp_path, capsys):
    path = tmp_path / 'results.json'
    options = ['--quick', '--size', '64x96', '--device', 'cpu', '--json', str(path)]
    options += ['--precision', 'fp32', '--precision', 'bf16', '--backend', 'torch']
    assert main('sgnet_core', COMMANDS, ['benchmark', *options]) == 0
    values = json.loads(path.read_text())
    assert {'protocol', 'rows', 'ratios', 'not_measured'} == set(values)
    keys = {'name', 'variant', 'backend', 'device', 'precision', 'size', 'median_ms', 'p95_ms',
            'peak_mb'}  # fmt: skip
    first, second = values['rows']
    assert keys <= set(first)
    assert (first['name'], first['size'], first['device']) == ('sgnet_lite0', '64x96', 'cpu')
    assert 0 < first['median_ms'] <= first['p95_ms']
    assert 5 < first['peak_mb'] < 500
    ratio = values['ratios']['bf16_over_fp32.sgnet_lite0']
    assert ratio == pytest.approx(second['median_ms'] / first['median_ms'], rel=0.01)
    protocol = values['protocol']
    assert (protocol['notes'], protocol['interrupted'], protocol['quick']) == ([], False, True)
    assert set(protocol['variants_left_out']) == set(VARIANTS) - {'sgnet_lite0'}
    assert f'{first["median_ms"]:.2f}' in capsys.readouterr().out


def test_unmeasured_networks_are_reported_with_their_reason():
    config = BenchmarkConfig('cpu')
    results = suite.Results(not_measured={CASE: 'onnxruntime is not installed'})
    values = as_json(config, results)
    assert values['not_measured'] == {
        'sgnet_lite0 torch fp32 60x90': 'onnxruntime is not installed'
    }
    assert 'onnxruntime is not installed' in as_text(values)


@pytest.mark.parametrize('place', ['a_file/x.json', 'a_folder'])
def test_a_json_file_that_cannot_be_written_is_refused_before_the_run(
    tmp_path, monkeypatch, capsys, place
):
    (tmp_path / 'a_file').write_text('kept')
    (tmp_path / 'a_folder').mkdir()
    monkeypatch.setattr(suite, 'run_suite', lambda config: pytest.fail('it ran'))
    options = ['--quick', '--device', 'cpu', '--json', str(tmp_path / place)]
    assert main('sgnet_core', COMMANDS, ['benchmark', *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f'--json {tmp_path / place} cannot be written' in line
    assert (tmp_path / 'a_file').read_text() == 'kept'


def test_the_check_of_a_json_file_leaves_no_trace(tmp_path):
    old, new = tmp_path / 'old.json', tmp_path / 'folder' / 'new.json'
    old.write_text('kept')
    for place in (old, new, '-', None):
        check_json_destination(place)
    assert old.read_text() == 'kept'
    assert not new.exists()


def test_an_interrupted_run_writes_finished_groups(monkeypatch, capsys):
    def measure(cases, device, budget, graphs, results):
        if results.rows:
            raise KeyboardInterrupt
        results.rows[cases[0]] = suite.Row(cases[0], [4.0], '96x128')

    monkeypatch.setattr(suite, '_time', measure)
    monkeypatch.setattr(suite, 'in_fresh_process', lambda call, cases, *rest: [7.0 for _ in cases])
    options = ['--device', 'cpu', '--variant', 'sgnet_r18', '--variant', 'sgnet_r34']
    assert main('sgnet_core', COMMANDS, ['benchmark', *options, '--json', '-']) == INTERRUPTED
    values = json.loads(capsys.readouterr().out)
    assert values['protocol']['interrupted'] is True
    assert [(row['median_ms'], row['peak_mb']) for row in values['rows']] == [(4.0, 7.0)]


def test_help_names_every_variant(capsys):
    with pytest.raises(SystemExit):
        main('sgnet_core', COMMANDS, ['benchmark', '--help'])
    text = capsys.readouterr().out
    assert all(name in text for name in VARIANTS)
