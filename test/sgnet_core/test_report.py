# SPDX-License-Identifier: Apache-2.0
"""The report says what was measured, needs nothing beside it, and keeps few of many frames."""

import base64
import gc
import json
import re
import weakref
from dataclasses import replace

import cv2
import numpy as np
import pytest
from report_cases import NAMES, StrictReader, evaluation_of, result_of, sample_of

from sgnet_core.errors import InputError
from sgnet_core.evaluation import Evaluation
from sgnet_core.labels import colorize, label_set_of
from sgnet_core.report.chart import histogram, ticks
from sgnet_core.report.comparison import compare
from sgnet_core.report.comparison_page import comparison_page, verdict
from sgnet_core.report.heat_map import confusions, heat_map
from sgnet_core.report.picks import FramePicker
from sgnet_core.report.write import ReportFolder, report_page

LABELS = label_set_of(NAMES)
SECTIONS = [
    'Classes',
    'Frames',
    'What is taken for what',
    'Where it is right',
    'Does it know when it is wrong?',
    'When colour or depth are worse',
    'Frame by frame',
    'How this was measured',
]


@pytest.fixture(scope='module')
def run():
    """Figures with everything known, and picked frames."""
    picker = FramePicker()
    metrics = evaluation_of(0.4, watch=picker.update).to_json()
    metrics['robustness'] = [
        {
            'corruption': name,
            'severity': severity,
            'level': 10.0 * severity,
            'unit': '% <worse>',
            'miou': 0.5 / severity,
            'pixel_accuracy': 0.6,
        }
        for name in ('depth <noise>', 'blur')
        for severity in (1, 2, 3)
    ]
    metrics['retained_miou'] = {'mean': 0.625, 'depth <noise>': 0.75, 'blur': 0.5}
    metrics |= {'fps': 9.5, 'pairs': 12, 'dropped': {'late': 3}, 'label_age_ms': {'p50': 120.0}}
    metrics['provenance'] = {
        'command': 'python -m sgnet_core evaluate --data "a & b"',
        'checkpoint': {'network': 'sgnet_lite0 (depth)', 'sha256': 'ab' * 32},
        'data': {'name': '<kitchen>', 'split': 'val'},
    }
    return metrics, picker.picked()


def test_page_is_whole_and_asks_for_nothing(run):
    text = report_page(*run, LABELS)
    page = StrictReader(text)
    assert page.addresses and all(a.startswith('data:') for a in page.addresses)
    assert not re.search(r'url\(|@import|http', text)


def test_page_says_what_was_measured(run):
    metrics, _ = run
    page = StrictReader(report_page(*run, LABELS)).text.replace('\N{NO-BREAK SPACE}', ' ')
    for name in (
        *NAMES,
        '<s>0</s>',
        'late 3',
        'p50 120 ms',
        '<kitchen>',
        'depth <noise>',
        '--data "a & b"',
        'ab' * 32,
    ):
        assert name in page
    low, high = metrics['intervals']['miou']
    assert f'{100 * metrics["miou"]:.1f} %' in page
    assert f'{100 * low:.1f} to {100 * high:.1f} %' in page
    for values in metrics['per_class'].values():
        if values['iou'] is not None:
            assert f'{100 * values["iou"]:.1f} %' in page
    assert 'Neither seen nor predicted: never there.' in page


def test_milliseconds_of_a_live_run_are_from_the_camera_on(run):
    metrics, _ = run
    assert 'Frames: camera to mask.' in report_page(metrics, {}, LABELS)
    offline = {name: value for name, value in metrics.items() if name != 'label_age_ms'}
    assert 'Frames: time per frame.' in report_page(offline, {}, LABELS)


def headings(text: str) -> list[str]:
    return re.findall(r'<h2>(.*?)</h2>', text)


def test_there_is_a_section_for_everything_known_and_no_other(run):
    metrics, picked = run
    assert headings(report_page(metrics, picked, LABELS)) == SECTIONS
    for without, missing in (
        ({'robustness': None}, 'When colour or depth are worse'),
        ({'calibration': None}, 'Does it know when it is wrong?'),
        ({'by_distance': [], 'by_missing_depth': []}, 'Where it is right'),
    ):
        shown = headings(report_page(metrics | without, picked, LABELS))
        assert shown == [section for section in SECTIONS if section != missing]
    assert 'Frames' not in headings(report_page(metrics, {}, LABELS))


@pytest.mark.parametrize('frames', [range(1), range(0)])
def test_page_of_hardly_anything_is_still_whole(frames):
    picker = FramePicker()
    metrics = evaluation_of(0.0, frames, watch=picker.update).to_json()
    StrictReader(report_page(metrics, picker.picked(), LABELS))


def test_film_without_labels_has_a_page_and_a_comparison():
    evaluation = Evaluation(NAMES)
    for index in range(3):
        film = replace(sample_of(index), labels=None, pose=np.eye(4))
        evaluation.update(film, result_of(sample_of(index), 0.2, index))
    metrics = evaluation.to_json()
    page = StrictReader(report_page(metrics, {}, LABELS))
    assert 'temporal consistency' in page.text and 'mIoU' not in page.text
    found = compare(metrics, metrics, resamples=100)
    assert verdict(found).startswith('There is no mIoU to compare.')
    StrictReader(comparison_page(metrics, metrics, found))


def test_pictures_show_the_labels_in_their_colors(run):
    _, picked = run
    pictures = re.findall(r'<img src="data:image/(\w+);base64,([^"]+)"', report_page(*run, LABELS))
    frames = [frame for group in picked.values() for frame in group]
    assert len(pictures) == 5 * len(frames) == 30
    for frame, (kind, content) in zip(frames, pictures[2::5], strict=True):
        stored = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
        assert kind == 'png'
        assert (stored[..., ::-1] == colorize(frame.truth, LABELS.palette)).all()


def test_folder_has_the_same_figures_for_programs(tmp_path):
    folder = tmp_path / 'new' / 'report'
    for frames in (range(3), range(4, 8)):
        report = ReportFolder(folder)
        metrics = evaluation_of(0.3, frames, watch=report.picker.update).to_json()
        report.write(metrics, LABELS)
    assert sorted(path.name for path in folder.iterdir()) == ['metrics.json', 'report.html']
    assert json.loads((folder / 'metrics.json').read_text()) == metrics
    page = StrictReader((folder / 'report.html').read_text())
    assert page.tags['img'] == 5 * 4 and '<s>5</s>' in page.text and '<s>1</s>' not in page.text


def test_folder_that_cannot_be_is_refused_before_the_run(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='--out .*file.* cannot be written to .*: give a folder'):
        ReportFolder(tmp_path / 'file')


class Counts:
    """Stands in for the counts of a frame whose mIoU is given."""

    def __init__(self, miou):
        self.miou = miou


def test_picker_finds_what_sorting_all_frames_finds():
    scores = np.random.default_rng(3).permutation(400) / 400
    picker = FramePicker(each=3)
    for index, score in enumerate(scores):
        sample = sample_of(index)
        picker.update(sample, result_of(sample, 0.1, 0), Counts(float(score)))
    picked = {name: [p.score for p in frames] for name, frames in picker.picked().items()}
    assert picked['best'] == [399 / 400, 398 / 400, 397 / 400]
    assert picked['worst'] == [0, 1 / 400, 2 / 400]
    # Of 24 at random the nearest three are hardly ever farther away.
    assert all(abs(score - 0.5) < 0.15 for score in picked['median'])


def test_pickers_of_several_processes_add_up():
    scores = np.random.default_rng(4).permutation(300) / 300
    whole, *others = pickers = [FramePicker(each=2, seed=seed) for seed in range(3)]
    for index, score in enumerate(scores):
        sample = sample_of(index)
        # Of very different lengths, and of low scores in the last.
        which = 2 if score < 0.7 else int(index > 20)
        pickers[which].update(sample, result_of(sample, 0.1, 0), Counts(float(score)))
    for other in others:
        whole.add(other)
    picked = {name: [p.score for p in frames] for name, frames in whole.picked().items()}
    assert picked['best'] == [299 / 300, 298 / 300] and picked['worst'] == [0, 1 / 300]
    assert all(abs(score - 0.5) < 0.15 for score in picked['median'])
    assert len(whole._pool) == FramePicker.POOL


def test_picker_keeps_few_frames_and_no_sample():
    picker, alive = FramePicker(each=1), []
    for index in range(120):
        sample = sample_of(index)
        alive.append(weakref.ref(sample.frame.rgb))
        picker.update(sample, result_of(sample, 0.1, 0), Counts(float(index % 50)))
    del sample
    gc.collect()
    assert sum(ref() is not None for ref in alive) == 0
    assert len(picker._pool) == FramePicker.POOL and len(picker._best) == len(picker._worst) == 1


@pytest.mark.parametrize('frames', [1, 2, 3, 5])
def test_picker_shows_no_frame_twice(frames):
    picker = FramePicker()
    for index in range(frames):
        sample = sample_of(index)
        picker.update(sample, result_of(sample, 0.1, 0), Counts(index / 10))
    ids = [frame.id for group in picker.picked().values() for frame in group]
    assert sorted(ids) == sorted({sample_of(index).id for index in range(frames)})


def test_picker_passes_over_frames_without_a_score():
    picker = FramePicker()
    sample = sample_of(0)
    picker.update(sample, result_of(sample, 0.1, 0), Counts(None))
    assert picker.picked() == {}


def test_confusions_are_named_most_pixels_first():
    counts = [[5, 0, 15, 0], [2, 98, 0, 0], [0, 0, 0, 0]]
    found = [(c.truth, c.prediction, c.pixels, c.share) for c in confusions(counts, 'abcd')]
    assert found == [('a', 'c', 15, 0.75), ('b', 'a', 2, 0.02)]


def test_heat_map_has_a_cell_for_every_share_that_can_be_seen():
    counts = np.zeros((60, 60), int)
    np.fill_diagonal(counts, 1000)
    counts[3, 7], counts[4, 8] = 500, 1
    svg = heat_map(counts.tolist(), [f'<{i}>' for i in range(60)])
    said = re.findall(r'<title>(&lt;.*?)</title>', svg)
    assert len(said) == 61
    assert '&lt;3&gt; taken for &lt;7&gt;: 33.3\N{NO-BREAK SPACE}% of 1500 pixels' in said
    assert re.search(r'width="(\d+)"', svg)[1] <= '620'


@pytest.mark.parametrize('values', [[3.0], [5.0, 5.0, 5.0], [0.0, 0.0], list(range(97)), [-3, 1e6]])
def test_histogram_counts_every_value_once(values):
    bins = histogram(values)
    assert sum(count for _, _, count in bins) == len(values)
    assert bins[0][0] <= min(values) and bins[-1][1] >= max(values) - 1e-6
    assert all(left < right for left, right, _ in bins)


@pytest.mark.parametrize(('low', 'high'), [(0, 1), (0, 0.037), (88.1, 413.2), (-3, 5e6)])
def test_ticks_are_round_and_inside(low, high):
    made = ticks(low, high)
    assert 3 <= len(made) <= 7
    assert low - 1e-9 <= made[0] and made[-1] <= high * (1 + 1e-9)
    assert all(len(f'{tick:.12g}'.strip('-0.').replace('.', '').rstrip('0')) <= 3 for tick in made)
