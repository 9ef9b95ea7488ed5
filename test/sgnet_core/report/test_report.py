# SPDX-License-Identifier: Apache-2.0
"""The report page and the selection of its frames."""

import base64
import gc
import json
import re
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from report_cases import NAMES, StrictReader, evaluation_of, result_of, sample_of

from sgnet_core.evaluation import Evaluation
from sgnet_core.evaluation.comparison import compare
from sgnet_core.labels import label_set_of
from sgnet_core.report import charts
from sgnet_core.report.comparison_page import comparison_page, verdict
from sgnet_core.report.frame_selection import FrameSelector
from sgnet_core.report.sections import confusions
from sgnet_core.report.writer import ReportFolder, report_page
from sgnet_core.visualization.overlay import colorize

LABELS = label_set_of(NAMES)
SECTIONS = [
    *('Classes', 'Frames', 'Confusion matrix', 'Accuracy by condition', 'Calibration'),
    *('Robustness', 'Distribution over frames', 'Provenance'),
]


@pytest.fixture(scope='module')
def run():
    """Metrics of all sections, and selected frames."""
    selector = FrameSelector()
    metrics = evaluation_of(0.4, on_frame=selector.update).to_json()
    common = {'unit': '% <worse>', 'pixel_accuracy': 0.6}
    metrics['robustness'] = [
        {'corruption': name, 'severity': n, 'level': 10.0 * n, 'miou': 0.5 / n, **common}
        for name in ('depth <noise>', 'blur')
        for n in (1, 2, 3)
    ]
    metrics['retained_miou'] = {'mean': 0.625, 'depth <noise>': 0.75, 'blur': 0.5}
    metrics |= {'fps': 9.5, 'pairs': 12, 'dropped': {'late': 3}, 'label_age_ms': {'p50': 120.0}}
    metrics['provenance'] = {
        'command': 'python -m sgnet_core evaluate --data "a & b"',
        'checkpoint': {'network': 'sgnet_lite0 (depth)', 'sha256': 'ab' * 32},
        'data': {'name': '<kitchen>', 'split': 'val'},
    }
    return metrics, selector.selected()


def test_page_is_valid_and_self_contained(run):
    text = report_page(*run, LABELS)
    page = StrictReader(text)
    assert page.addresses and all(a.startswith(('data:', '#')) for a in page.addresses)
    assert not re.search(r'url\(|@import|http', text)
    assert text == report_page(*run, LABELS)


def test_page_has_all_metrics(run):
    metrics, _ = run
    page = StrictReader(report_page(*run, LABELS)).text.replace('\N{NO-BREAK SPACE}', ' ')
    facts = ('late 3', 'p50 120 ms', '<kitchen>', 'depth <noise>', '--data "a & b"', 'ab' * 32)
    assert all(name in page for name in (*NAMES, '<s>0</s>', *facts))
    low, high = metrics['intervals']['miou']
    assert f'{100 * metrics["miou"]:.1f} %' in page
    assert f'{100 * low:.1f} to {100 * high:.1f} %' in page
    for values in metrics['per_class'].values():
        if values['iou'] is not None:
            assert f'{100 * values["iou"]:.1f} %' in page
    assert 'Neither labelled nor predicted: never there.' in page


def test_times_of_online_runs_start_at_the_camera(run):
    metrics, _ = run
    assert 'Frames: camera to mask.' in report_page(metrics, {}, LABELS)
    offline = {name: value for name, value in metrics.items() if name != 'label_age_ms'}
    assert 'Frames: time per frame.' in report_page(offline, {}, LABELS)


def headings(text: str) -> list[str]:
    return re.findall(r'<h2>(.*?)</h2>', text)


def test_sections_match_the_metrics(run):
    metrics, selected = run
    assert headings(report_page(metrics, selected, LABELS)) == SECTIONS
    for without, missing in (
        ({'robustness': None}, 'Robustness'),
        ({'calibration': None}, 'Calibration'),
        ({'by_distance': [], 'by_missing_depth': []}, 'Accuracy by condition'),
    ):
        shown = headings(report_page(metrics | without, selected, LABELS))
        assert shown == [section for section in SECTIONS if section != missing]
    assert 'Frames' not in headings(report_page(metrics, {}, LABELS))


@pytest.mark.parametrize('frames', [range(1), range(0)])
def test_page_of_one_or_no_frame_is_valid(frames):
    selector = FrameSelector()
    metrics = evaluation_of(0.0, frames, on_frame=selector.update).to_json()
    StrictReader(report_page(metrics, selector.selected(), LABELS))


def test_unlabelled_sequence_has_a_page_and_a_comparison():
    evaluation = Evaluation(NAMES)
    for index in range(3):
        frame = replace(sample_of(index), labels=None, pose=np.eye(4))
        evaluation.update(frame, result_of(sample_of(index), 0.2, index))
    metrics = evaluation.to_json()
    page = StrictReader(report_page(metrics, {}, LABELS))
    assert 'temporal consistency' in page.text and 'mIoU' not in page.text
    result = compare(metrics, metrics, resamples=100)
    assert verdict(result).startswith('There is no mIoU to compare.')
    StrictReader(comparison_page(metrics, metrics, result))


def test_pictures_have_class_colors(run):
    _, selected = run
    pictures = re.findall(r'<img src="data:image/(\w+);base64,([^"]+)"', report_page(*run, LABELS))
    frames = [frame for group in selected.values() for frame in group]
    assert len(pictures) == 5 * len(frames) == 30
    for frame, (kind, content) in zip(frames, pictures[2::5], strict=True):
        stored = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
        assert kind == 'png'
        assert (stored[..., ::-1] == colorize(frame.truth, LABELS.palette)).all()


def test_folder_has_page_and_json_of_the_last_run(tmp_path):
    folder = tmp_path / 'new' / 'report'
    for frames in (range(3), range(4, 8)):
        report = ReportFolder(folder)
        metrics = evaluation_of(0.3, frames, on_frame=report.selector.update).to_json()
        report.write(metrics, LABELS)
    assert sorted(path.name for path in folder.iterdir()) == ['metrics.json', 'report.html']
    assert json.loads((folder / 'metrics.json').read_text()) == metrics
    page = StrictReader((folder / 'report.html').read_text())
    assert page.tags['img'] == 5 * 4 and '<s>5</s>' in page.text and '<s>1</s>' not in page.text


def select(selector, scores, choose=None):
    """Show frames whose mIoU are `scores` to `selector`, or to the one that `choose` returns."""
    for index, score in enumerate(scores):
        sample = sample_of(index)
        scores_of_frame = SimpleNamespace(miou=score)
        (choose(index, score) if choose else selector).update(
            sample, result_of(sample, 0.1, 0), scores_of_frame
        )
    return {name: [f.score for f in frames] for name, frames in selector.selected().items()}


def test_selector_equals_sorting_all_frames():
    scores = np.random.default_rng(3).permutation(400) / 400
    selected = select(FrameSelector(per_group=3), scores.tolist())
    assert selected['best'] == [399 / 400, 398 / 400, 397 / 400]
    assert selected['worst'] == [0, 1 / 400, 2 / 400]
    assert all(abs(score - 0.5) < 0.15 for score in selected['median'])


def test_selectors_add_up():
    scores = np.random.default_rng(4).permutation(300) / 300
    whole, *others = selectors = [FrameSelector(per_group=2, seed=seed) for seed in range(3)]
    # Selectors of very different lengths; the low scores are in the last.
    select(whole, scores.tolist(), lambda i, score: selectors[2 if score < 0.7 else int(i > 20)])
    for other in others:
        whole.add(other)
    selected = select(whole, [])
    assert selected['best'] == [299 / 300, 298 / 300] and selected['worst'] == [0, 1 / 300]
    assert all(abs(score - 0.5) < 0.15 for score in selected['median'])
    assert len(whole._pool.frames) == FrameSelector.POOL


def test_selector_keeps_few_frames_and_no_samples():
    selector, alive = FrameSelector(per_group=1), []
    for index in range(120):
        sample = sample_of(index)
        alive.append(weakref.ref(sample.frame.rgb))
        selector.update(sample, result_of(sample, 0.1, 0), SimpleNamespace(miou=index % 50))
    del sample
    gc.collect()
    assert sum(ref() is not None for ref in alive) == 0
    kept = [len(group.frames) for group in (selector._pool, selector._best, selector._worst)]
    assert kept == [FrameSelector.POOL, 1, 1]


@pytest.mark.parametrize('frames', [0, 1, 2, 3, 5])
def test_selector_has_no_duplicates(frames):
    selected = select(FrameSelector(), [None, *(index / 10 for index in range(frames))])
    assert sorted(sum(selected.values(), [])) == [index / 10 for index in range(frames)]


def test_confusions_are_sorted_by_pixels():
    counts = [[5, 0, 15, 0], [2, 98, 0, 0], [0, 0, 0, 0]]
    assert confusions(counts, 'abcd') == [('a', 'c', 15, 0.75), ('b', 'a', 2, 0.02)]


def tooltips(svg: str) -> list[str]:
    _, *texts = re.findall('<title>(.*?)</title>', svg)
    return texts


def test_confusion_matrix_draws_visible_cells():
    counts = np.zeros((60, 60), int)
    np.fill_diagonal(counts, 1000)
    counts[3, 7], counts[4, 8] = 500, 1
    svg = charts.confusion_matrix(counts.tolist(), [f'<{i}>' for i in range(60)])
    assert len(tooltips(svg)) == 61
    shown = '&lt;3&gt; predicted as &lt;7&gt;: 33.3\N{NO-BREAK SPACE}% of 1500 pixels'
    assert shown in tooltips(svg)
    assert int(re.search(r'width="(\d+)"', svg)[1]) <= 620


def test_charts_take_any_class_name(recwarn):
    svg = charts.confusion_matrix([[3, 1], [0, 2]], ['a$x_1$', '\u6905'])
    assert '>a$x_1$<' in svg and '>\u6905<' in svg
    assert not recwarn.list


@pytest.mark.parametrize('values', [[3.0], [5.0, 5.0, 5.0], [0.0, 0.0], list(range(97)), [-3, 1e6]])
def test_histogram_counts_every_value_once(values):
    counted = [
        int(re.search(r': (\d+) frames', text)[1])
        for text in tooltips(charts.histogram('t', values, 'ms'))
    ]
    assert sum(counted) == len(values)


def test_histogram_omits_marks_outside_its_axis():
    svg = charts.histogram('t', [10, 20, 30], 'ms', {'p50': 20.0, 'p99': 31.0})
    assert '>p50 20<' in svg and 'p99' not in svg


def test_charts_use_theme_colors_in_every_thread(run):
    bins = [row for row in run[0]['calibration']['bins'] if row['pixels']]
    svg = charts.reliability(bins)
    assert not re.search(r'(fill|stroke): (?!none|var\()', svg)
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(charts.reliability, [bins] * 8)) == {svg}
