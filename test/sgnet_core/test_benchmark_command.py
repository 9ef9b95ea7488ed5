# SPDX-License-Identifier: Apache-2.0
"""The command `benchmark` from options to JSON, and Ctrl-C in its middle."""

import json

import pytest

import sgnet_core.benchmark.run
from sgnet_core.__main__ import COMMANDS
from sgnet_core.benchmark.measure import Step
from sgnet_core.benchmark.plan import DEFAULT_VARIANTS, make_plan
from sgnet_core.benchmark.results import Key, Row
from sgnet_core.cli import INTERRUPTED, main
from sgnet_core.errors import InputError
from sgnet_core.files import check_json_destination
from sgnet_core.model import SGNet, SGNetConfig
from sgnet_core.model.sgnet import VARIANTS


@pytest.mark.parametrize(
    ('asked', 'message'),
    [
        ({'variant': ['resnet50']}, "unknown variant 'resnet50'; there are sgnet_r18, "),
        (
            {'part': ['speed']},
            "unknown part 'speed'; there are operator, network, memory, geometry, evaluation",
        ),
        ({'backend': ['tensorrt']}, "unknown backend 'tensorrt'; there are torch, onnxruntime"),
        ({'precision': ['int8']}, "unknown precision 'int8'; there are fp32, fp16, bf16"),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(asked, message):
    with pytest.raises(InputError, match=message):
        make_plan('cpu', asked, None, None, False)


@pytest.mark.parametrize('size', ['480', '480x', '640x480x3', '32x640', 'x'])
def test_a_size_that_cannot_be_is_named(size):
    with pytest.raises(InputError, match=f"got '{size}'"):
        make_plan('cpu', {}, [size], None, False)


def test_a_time_that_cannot_be_is_named():
    with pytest.raises(InputError, match='--seconds must be 0 or more, got -1'):
        make_plan('cpu', {}, None, -1.0, False)


@pytest.fixture(scope='module')
def quick_figures(tmp_path_factory):
    path = tmp_path_factory.mktemp('benchmark') / 'figures.json'
    options = ['--quick', '--size', '64x96', '--variant', 'sgnet_lite0', '--json', str(path)]
    assert main('sgnet_core', COMMANDS, ['benchmark', *options, '--device', 'cpu']) == 0
    return json.loads(path.read_text())


def test_quick_writes_the_fixed_keys(quick_figures):
    assert {'protocol', 'rows', 'ratios', 'not_measured', 'targets'} <= set(quick_figures)
    keys = {'name', 'variant', 'backend', 'device', 'precision', 'size', 'median_ms', 'p95_ms',
            'peak_mb'}  # fmt: skip
    assert all(keys <= set(row) for row in quick_figures['rows'])
    protocol = quick_figures['protocol']
    assert protocol['notes'] == []
    assert (protocol['interrupted'], protocol['quick'], protocol['batch']) == (False, True, 1)
    parts = {row['part']: [] for row in quick_figures['rows']}
    for row in quick_figures['rows']:
        parts[row['part']].append(row)
        assert row['size'] == '64x96'
        assert row['median_ms'] is None or 0 < row['median_ms'] <= row['p95_ms']
    assert {row['name'] for row in parts['operator']} == set(
        SGNet(SGNetConfig('sgnet_r50')).sconv_positions()
    )
    assert {row['name'] for row in parts['network']} == {
        'sgnet_lite0', 'sgnet_lite0_none', 'sgnet_lite0_unfused',
    }  # fmt: skip
    assert [row['backend'] for row in parts['training']] == ['sgnet', 'im2col']
    encodings = [row['name'] for row in parts['geometry'] if row['backend'] == 'torch']
    assert encodings == ['hha', 'xyz', 'normals', 'registration']
    assert [row['name'] for row in parts['evaluation']] == ['masks', 'counts', 'evaluation']


def test_ratios_are_quotients_of_the_rows(quick_figures):
    rows, ratios = quick_figures['rows'], quick_figures['ratios']

    def medians(name=None, backend=None, part='operator'):
        return sum(
            row['median_ms']
            for row in rows
            if row['part'] == part and name in (None, row['name']) and row['backend'] == backend
        )

    position = 'backbone.layer3.4.conv2'
    expected = {
        'sconv_op_over_plain_sum': medians(backend='sgnet') / medians(backend='conv2d'),
        f'sconv_op_over_plain.{position}': medians(position, 'sgnet') / medians(position, 'conv2d'),
        'im2col_over_ours_op_sum': medians(backend='im2col') / medians(backend='sgnet'),
        'sgnet_lite0_over_none': medians('sgnet_lite0', 'torch', 'network')
        / medians('sgnet_lite0_none', 'torch', 'network'),
        'fused_over_unfused.sgnet_lite0': medians('sgnet_lite0', 'torch', 'network')
        / medians('sgnet_lite0_unfused', 'torch', 'network'),
        'hha_over_float64': medians('hha', 'torch', 'geometry')
        / medians('hha', 'float64', 'geometry'),
        'evaluation_over_masks': medians('evaluation', 'auto', 'evaluation')
        / medians('masks', 'auto', 'evaluation'),
    }
    for name, value in expected.items():
        assert ratios[name] == pytest.approx(value, rel=0.01)
    peaks = {row['backend']: row['peak_mb'] for row in rows if row['part'] == 'training'}
    if len(peaks) == 2:
        memory = peaks['sgnet'] / peaks['im2col']
        assert ratios['training_memory_over_im2col'] == pytest.approx(memory, rel=0.01)


def test_what_was_not_measured_says_why(quick_figures):
    not_measured = quick_figures['not_measured']
    assert not set(not_measured) & set(quick_figures['ratios'])
    assert 'left out by' in not_measured['onnxruntime_over_torch.sgnet_lite0']
    try:
        import torchvision  # noqa: F401
    except ImportError:
        assert not_measured['torchvision_over_triton_min'] == 'torchvision is not installed'


@pytest.mark.parametrize('place', ['a_file/x.json', 'a_folder'])
def test_a_place_that_cannot_be_written_is_refused_before_the_run(
    tmp_path, monkeypatch, capsys, place
):
    (tmp_path / 'a_file').write_text('kept')
    (tmp_path / 'a_folder').mkdir()
    monkeypatch.setattr(sgnet_core.benchmark.run, 'run_plan', lambda plan: pytest.fail('it ran'))
    options = ['--quick', '--device', 'cpu', '--json', str(tmp_path / place)]
    assert main('sgnet_core', COMMANDS, ['benchmark', *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f'--json {tmp_path / place} cannot be written' in line
    assert (tmp_path / 'a_file').read_text() == 'kept'


def test_the_check_of_a_place_leaves_no_trace(tmp_path):
    old, new = tmp_path / 'old.json', tmp_path / 'folder' / 'new.json'
    old.write_text('kept')
    for place in (old, new, '-', None):
        check_json_destination(place)
    assert old.read_text() == 'kept'
    assert not new.exists()


def test_the_protocol_names_what_the_default_leaves_out(monkeypatch, capsys):
    monkeypatch.setattr(sgnet_core.benchmark.run, 'steps', lambda plan, positions: [])
    assert main('sgnet_core', COMMANDS, ['benchmark', '--device', 'cpu', '--json', '-']) == 0
    protocol = json.loads(capsys.readouterr().out)['protocol']
    left_out = set(VARIANTS) - set(DEFAULT_VARIANTS)
    assert protocol['variants'] == list(DEFAULT_VARIANTS)
    named = protocol['variants_left_out']
    assert set(named.partition(';')[0].split(', ')) == left_out
    assert '--variant' in named
    with pytest.raises(SystemExit):
        main('sgnet_core', COMMANDS, ['benchmark', '--help'])
    text = capsys.readouterr().out
    assert all(name in text for name in VARIANTS)


def test_an_interrupted_run_writes_what_it_has(monkeypatch, capsys):
    done = Row(Key('network', 'sgnet_lite0', 'torch', 'fp32', '96x128'), 'sgnet_lite0', [4.0])

    def interrupt(results, process):
        raise KeyboardInterrupt

    steps = [Step('one', lambda results, process: results.add(done)), Step('two', interrupt)]
    monkeypatch.setattr(sgnet_core.benchmark.run, 'steps', lambda plan, positions: steps)
    options = ['--quick', '--device', 'cpu', '--precision', 'fp32', '--json', '-']
    assert main('sgnet_core', COMMANDS, ['benchmark', *options]) == INTERRUPTED
    # Nothing but JSON.
    figures = json.loads(capsys.readouterr().out)
    assert figures['protocol']['interrupted'] is True
    assert [row['median_ms'] for row in figures['rows']] == [4.0]
    reason = figures['not_measured']['sgnet_lite0_over_none']
    assert reason == 'the run was interrupted before it'
