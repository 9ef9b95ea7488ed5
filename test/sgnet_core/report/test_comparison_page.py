# SPDX-License-Identifier: Apache-2.0
"""Comparison of two runs: statistics, page, text and command."""

import itertools
import json

import numpy as np
import pytest
from report_cases import NAMES, StrictReader, evaluation_of

from sgnet_core.cli.runner import run_command
from sgnet_core.errors import InputError
from sgnet_core.evaluation.comparison import compare, holm
from sgnet_core.report.comparison_page import comparison_page, comparison_text, verdict

NAMES_SEEN = NAMES[:-1]


@pytest.fixture(scope='module')
def runs():
    """A good run and a bad one; the second has not seen the first two frames."""
    return (
        evaluation_of(0.2, range(15), seed=1).to_json(),
        evaluation_of(0.5, range(2, 17), seed=2).to_json(),
    )


def test_metrics_are_of_the_common_frames(runs):
    result = compare(*runs, resamples=200)
    assert result['frames'] == 13
    for run, wrong, seed in (('a', 0.2, 1), ('b', 0.5, 2)):
        alone = evaluation_of(wrong, range(2, 15), seed).to_json()
        for name, entry in result['scores'].items():
            assert entry[run] == pytest.approx(alone[name])
        for name, entry in result['per_class'].items():
            assert entry[run] == pytest.approx(alone['per_class_iou'][name])


def test_comparison_is_antisymmetric(runs):
    result, turned = compare(*runs, resamples=500), compare(*runs[::-1], resamples=500)
    assert sorted(result['worse']) == sorted(NAMES_SEEN) and result['better'] == []
    assert turned['better'] == result['worse'] and turned['worse'] == []
    for name, entry in result['scores'].items():
        other = turned['scores'][name]
        assert other['difference'] == -entry['difference']
        assert other['p'] == entry['p'] < 0.05
        assert other['interval'] == pytest.approx([-entry['interval'][1], -entry['interval'][0]])


def test_run_does_not_differ_from_itself(runs):
    result = compare(runs[0], runs[0], resamples=100)
    entries = [*result['scores'].values(), *(result['per_class'][name] for name in NAMES_SEEN)]
    assert all(e['difference'] == 0 and e['p'] == 1 and e['interval'] == [0, 0] for e in entries)
    assert result['better'] == result['worse'] == []
    undefined = dict.fromkeys(('a', 'b', 'difference', 'interval', 'p'))
    assert result['per_class']['never there'] == undefined | {'frames': 0}


def pixel_counts(run: dict, drawn: list[str]) -> np.ndarray:
    """Correct and labelled pixels of the frames in `drawn`."""
    classes = {frame['id']: frame['classes'] for frame in run['frame_scores']}
    return np.array([row[1:3] for sample_id in drawn for row in classes[sample_id]]).sum(0)


def test_intervals_equal_a_paired_bootstrap(runs):
    common = [f'<s>{index}</s>' for index in range(2, 15)]
    rng = np.random.default_rng(5)
    draws = [list(rng.choice(common, len(common))) for _ in range(1000)]
    a, b = ([np.divide(*pixel_counts(run, drawn)) for drawn in draws] for run in runs)
    differences = np.subtract(b, a)
    entry = compare(*runs, resamples=4000)['scores']['pixel_accuracy']
    assert entry['interval'] == pytest.approx(np.quantile(differences, (0.025, 0.975)), abs=0.01)


def test_p_equals_the_share_of_all_swaps():
    """Six frames have 64 swaps."""
    runs = [
        evaluation_of(wrong, range(6), seed).to_json() for seed, wrong in ((1, 0.30), (4, 0.33))
    ]
    counts = np.array(
        [[pixel_counts(run, [f'<s>{index}</s>']) for index in range(6)] for run in runs]
    )
    seen = []
    for swaps in itertools.product((0, 1), repeat=6):
        a, b = (counts[np.abs(np.array(swaps) - run), range(6)].sum(0) for run in (0, 1))
        seen.append(abs(b[0] / b[1] - a[0] / a[1]))
    exact = np.mean(np.array(seen) >= seen[0] - 1e-12)
    assert 0.05 < exact < 0.95
    result = compare(*runs, resamples=4000)['scores']['pixel_accuracy']
    assert result['p'] == pytest.approx(exact, abs=0.03)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.4, 0.3]) == pytest.approx([0.6, 0.6])
    assert holm([]) == []


def test_other_classes_frames_and_data_are_errors(runs):
    # Ids that are numbers occur in every dataset; other pixel counts tell the data apart.
    frames = runs[0]['frame_scores']
    other = [{**frame, 'classes': [[0, 1, 2, 3]]} for frame in frames[:2]]
    for changed, message in (
        (runs[1] | {'per_class': {'desk': {}}}, "different classes: 'wall', .* and 'desk'"),
        (evaluation_of(0.1, range(20, 22)).to_json(), 'no frame in common'),
        (runs[0] | {'frame_scores': other + frames[2:]}, "in 2 of 15 frames .* '<s>0</s>'"),
    ):
        with pytest.raises(InputError, match=message):
            compare(runs[0], changed)


def test_too_few_resamples_are_an_error():
    pair = []
    for correct in (2, 8):
        classes = [[index, correct, 9, 9] for index in range(7)]
        frames = [{'id': f'{i}', 'miou': 0.5, 'classes': classes} for i in range(30)]
        pair.append({'per_class': dict.fromkeys('abcdefg'), 'frame_scores': frames})
    with pytest.raises(InputError, match='139 resamples are too few for 7 classes.*give 140'):
        compare(*pair, resamples=139)
    assert len(compare(*pair, resamples=140)['better']) == 7


def test_page_and_text_have_the_result(runs):
    a, b = (
        run | {'provenance': {'checkpoint': {'network': name}, 'data': {'name': '<rooms>'}}}
        for run, name in zip(runs, ('first (x)', 'second (y)'), strict=True)
    )
    result = compare(a, b, resamples=200)
    html = comparison_page(a, b, result)
    page = StrictReader(html)
    text = comparison_text(a, b, result)
    assert all(address.startswith(('data:', '#')) for address in page.addresses)
    for shown in (page.text, text):
        assert 'second on <rooms>' in shown and 'first on <rooms>' in shown
        assert verdict(result) in shown and 'paired randomization' in shown
        assert f'−{-100 * result["scores"]["miou"]["difference"]:.1f}' in shown
    assert all(name in page.text for name in NAMES_SEEN)
    assert html.count('<title>&lt;s&gt;') == result['frames']
    assert page.tags['circle'] == len(NAMES_SEEN)
    result['scores']['miou']['p'] = next(iter(result['per_class'].values()))['p'] = 1e-4
    assert 'p < 0.001' in StrictReader(comparison_page(a, b, result)).text
    assert '>< 0.001' not in comparison_page(a, b, result)


@pytest.fixture
def files(runs, tmp_path):
    for name, run in zip('ab', runs, strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'metrics.json').write_text(json.dumps(run))
    return tmp_path


def test_command_writes_page_and_json(files, capsys):
    out = files / 'out'
    arguments = [str(files / 'a'), str(files / 'b' / 'metrics.json'), '--resamples', '300']
    assert run_command('sgnet_core', 'report', [*arguments, '--out', str(out)]) == 0
    assert 'B is worse than A' in capsys.readouterr().out
    result = json.loads((out / 'comparison.json').read_text())
    assert result['test']['resamples'] == 300
    StrictReader((out / 'comparison.html').read_text())
    assert run_command('sgnet_core', 'report', [*arguments, '--json', '-']) == 0
    assert json.loads(capsys.readouterr().out) == result
    assert run_command('sgnet_core', 'report', [*arguments[:2], '--resamples', '0']) == 2
    assert '--resamples must be from 100 to 1000000, got 0' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'cannot be read: No such file'),
        ('not json', 'not valid JSON'),
        ('[]', 'has no frame_scores, frames, per_class'),
        ('{"per_class": {}, "frames": 3}', 'has no frame_scores'),
        ('{"checkpoints": {}}', 'has several runs below its key `checkpoints`'),
    ],
)
def test_command_names_the_problem_of_a_file(files, capsys, content, message):
    file = files / 'c.json'
    if content is not None:
        file.write_text(content)
    assert run_command('sgnet_core', 'report', [str(files / 'a'), str(file)]) == 2
    error = capsys.readouterr().err
    assert message in error and 'evaluate --out DIR' in error and error.count('\n') == 1
