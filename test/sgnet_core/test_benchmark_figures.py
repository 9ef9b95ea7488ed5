# SPDX-License-Identifier: Apache-2.0
"""Ratios and targets of made-up rows: the arithmetic, and the reasons where there is none."""

import pytest

from sgnet_core.benchmark import training
from sgnet_core.benchmark.networks import NetworkCase
from sgnet_core.benchmark.operators import Position, row_key
from sgnet_core.benchmark.plan import make_plan
from sgnet_core.benchmark.ratios import compute
from sgnet_core.benchmark.report import figures, text
from sgnet_core.benchmark.results import Results, Row
from sgnet_core.benchmark.targets import judge

SIZE = (480, 640)
POSITIONS = [
    Position('sgnet_r50', name, (8, 6, 9), (8, 8, 3, 3), {'stride': 1, 'padding': 1, 'dilation': 1})
    for name in ('backbone.layer1.0.conv2', 'backbone.layer2.3.conv2')
]


def plan(**asked):
    named = {name: list(values) for name, values in asked.items()}
    return make_plan('cpu', {'precision': ['fp32', 'bf16'], **named}, None, None, False)


def operator_rows(backend, medians, precision='fp32'):
    return [
        Row(row_key(position, backend, precision, SIZE), 'sgnet_r50', [median])
        for position, median in zip(POSITIONS, medians, strict=True)
    ]


def network_row(median, variant='sgnet_r50', size=SIZE, **changes):
    case = {'spatial': 'depth', 'fused': True, 'backend': 'torch', 'precision': 'fp32', **changes}
    return Row(NetworkCase(variant=variant, size=size, **case).key, variant, [median])


def results_of(*rows):
    results = Results()
    for row in rows:
        results.add(row)
    return results


def test_sums_and_single_positions():
    results = results_of(
        *operator_rows('sgnet', (3.0, 5.0)),
        *operator_rows('conv2d', (2.0, 2.0)),
        *operator_rows('im2col', (10.0, 14.0)),
        *operator_rows('sgnet', (1.0, 2.0), 'bf16'),
        *operator_rows('conv2d', (1.0, 1.0), 'bf16'),
    )
    ratios, not_measured = compute(plan(), POSITIONS, results)
    assert ratios == {
        'sconv_op_over_plain_sum': 2.0,
        'sconv_op_over_plain.backbone.layer1.0.conv2': 1.5,
        'sconv_op_over_plain.backbone.layer2.3.conv2': 2.5,
        'im2col_over_ours_op_sum': 3.0,
        'sconv_op_over_plain_sum.bf16': 1.5,
        'sconv_op_over_plain.backbone.layer1.0.conv2.bf16': 1.0,
        'sconv_op_over_plain.backbone.layer2.3.conv2.bf16': 2.0,
    }
    assert {'reference_over_ours_op_sum', 'sgnet_r50_over_none'} <= set(not_measured)


def test_a_sum_with_a_position_missing_is_no_ratio():
    results = results_of(
        *operator_rows('sgnet', (3.0, 5.0)), operator_rows('conv2d', (2.0, 2.0))[0]
    )
    ratios, not_measured = compute(plan(), POSITIONS, results)
    assert 'sconv_op_over_plain_sum' not in ratios
    assert ratios['sconv_op_over_plain.backbone.layer1.0.conv2'] == 1.5
    assert 'left out by' in not_measured['sconv_op_over_plain_sum']


def test_the_smallest_ratio_needs_every_position():
    rows = [*operator_rows('torchvision', (9.0, 8.0)), *operator_rows('triton', (2.0, 2.0))]
    ratios, _ = compute(plan(), POSITIONS, results_of(*rows))
    assert ratios['torchvision_over_triton_min'] == 4.0
    assert 'torchvision_over_triton.backbone.layer1.0.conv2.bf16' not in ratios
    results = results_of(*rows[:-1])
    results.skipped[rows[-1].key] = 'no CUDA device'
    ratios, not_measured = compute(plan(), POSITIONS, results)
    assert 'torchvision_over_triton_min' not in ratios
    assert not_measured['torchvision_over_triton_min'] == 'no CUDA device'


def test_networks_backends_sizes_and_precisions():
    results = results_of(
        network_row(12.0),
        network_row(10.0, spatial='none'),
        network_row(16.0, fused=False),
        network_row(18.0, backend='onnxruntime'),
        network_row(6.0, precision='bf16'),
        network_row(4.0, precision='bf16', spatial='none'),
        network_row(2.0, 'sgnet_lite0', (240, 320)),
        network_row(1.0, 'sgnet_lite0', (240, 320), spatial='none'),
    )
    ratios, _ = compute(plan(), POSITIONS, results)
    assert ratios == {
        'sgnet_r50_over_none': 1.2,
        'fused_over_unfused.sgnet_r50': 0.75,
        'onnxruntime_over_torch.sgnet_r50': 1.5,
        'sgnet_r50_over_none.bf16': 1.5,
        'bf16_over_fp32.sgnet_r50': 0.5,
        'sgnet_lite0_over_none.240x320': 2.0,
    }


def test_training_compares_peaks():
    results = results_of(
        Row(training.row_key('sgnet', SIZE), 'sgnet_r50', (), 300.0),
        Row(training.row_key('im2col', SIZE), 'sgnet_r50', (), 1000.0),
    )
    results.skipped[training.row_key('im2col_columns', SIZE)] = 'too little memory'
    ratios, not_measured = compute(plan(), POSITIONS, results)
    assert ratios == {'training_memory_over_im2col': 0.3}
    assert not_measured['training_memory_over_im2col_columns'] == 'too little memory'


def judged(the_plan, results):
    ratios, not_measured = compute(the_plan, POSITIONS, results)
    return {
        (entry['name'], entry['limit']): entry
        for entry in judge(the_plan, results, ratios, not_measured)
    }


def test_targets_are_met_or_not_or_not_measured():
    results = results_of(
        *operator_rows('sgnet', (3.0, 3.0)),
        *operator_rows('conv2d', (2.0, 2.0)),
        network_row(1.41),
        network_row(1.0, spatial='none'),
        network_row(300.0, 'sgnet_lite0'),
        network_row(150.0, 'sgnet_lite0', backend='onnxruntime'),
        network_row(90.0, 'sgnet_lite0', precision='bf16'),
    )
    entries = judged(plan(), results)
    assert entries['sconv_op_over_plain_sum', 1.5]['met'] is True
    assert entries['sgnet_r50_over_none', 1.4]['met'] is False
    # The fastest backend counts, in the precision of the target.
    lite = entries['sgnet_lite0 480x640, ms', 200.0]
    assert (lite['value'], lite['met']) == (150.0, True)
    assert entries['sgnet_lite0 240x320, ms', 66.67]['met'] is None
    gpu = entries['sgnet_r50 480x640, ms', 3.5]
    assert (gpu['value'], gpu['met']) == (None, None)
    assert gpu['reason'] == 'a target for cuda, this run was on cpu'


def test_a_ratio_at_another_size_is_not_judged():
    rows = [*operator_rows('sgnet', (3.0, 3.0)), *operator_rows('conv2d', (2.0, 2.0))]
    small = make_plan('cpu', {'precision': ['fp32']}, ['96x128'], None, False)
    entry = judged(small, results_of(*rows))['sconv_op_over_plain_sum', 1.5]
    assert (entry['met'], entry['reason']) == (None, 'the target is for 480x640')


def test_the_text_has_what_the_json_has():
    results = results_of(
        *operator_rows('sgnet', (3.0, 5.0)), *operator_rows('conv2d', (2.0, 2.0)), network_row(7.5)
    )
    results.skipped[operator_rows('torchvision', (0, 0))[0].key] = 'torchvision is not installed'
    printed = text(figures(plan(), POSITIONS, results))
    for expected in ('backbone.layer2.3.conv2', '8.00', '7.50', 'sconv_op_over_plain_sum',
                     '2.000, NOT met', 'torchvision is not installed'):  # fmt: skip
        assert expected in printed


@pytest.mark.parametrize('rows', [[], [network_row(1.0)]])
def test_nothing_or_little_measured_is_no_error(rows):
    assert 'targets' in text(figures(plan(), POSITIONS, results_of(*rows)))
