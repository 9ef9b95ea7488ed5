# SPDX-License-Identifier: Apache-2.0
"""Metrics against loops over pixels and scikit-learn."""

import dataclasses
import json
import math
import pickle

import numpy as np
import pytest

from sgnet_core.errors import InputError
from sgnet_core.evaluation import ConfusionMatrix, Evaluation
from sgnet_core.evaluation.boundary_iou import DILATION_RATIO, boundary_region
from sgnet_core.types import UNLABELLED, CameraIntrinsics, RgbdFrame, Sample, SegmentationResult

NAMES = ('a', 'b', 'c', 'd')
SIZE = (52, 75)


def camera(size=SIZE, fx=60.0):
    height, width = size
    return CameraIntrinsics(width, height, fx, fx + 1.5, width / 2.1, height / 1.9)


def blobs(rng, size=SIZE, unlabelled=0.1):
    """Labels of four classes in blocks of several sizes, with holes."""
    labels = np.zeros(size, np.uint8)
    for _ in range(12):
        top, left = (rng.integers(0, n) for n in size)
        height, width = rng.integers(3, 30, 2)
        labels[top : top + height, left : left + width] = rng.integers(0, 4)
    labels[rng.random(size) < unlabelled] = UNLABELLED
    return labels


def random_sample(rng, name='0', missing=0.2, fx=60.0):
    depth_m = rng.uniform(0.5, 6, SIZE).astype(np.float32)
    depth_m[rng.random(SIZE) < missing] = np.nan
    frame = RgbdFrame(np.zeros((*SIZE, 3), np.uint8), depth_m, camera(fx=fx))
    return Sample(name, frame, blobs(rng))


def random_result(rng, sample, unpredicted=0.05):
    """Right in most places, and more often where it is confident."""
    confidence = rng.random(SIZE, np.float32)
    guess = rng.integers(0, 4, SIZE).astype(np.uint8)
    truth = np.where(sample.labels == UNLABELLED, np.uint8(2), sample.labels)
    labels = np.where(rng.random(SIZE) < confidence, truth, guess)
    labels[rng.random(SIZE) < unpredicted] = UNLABELLED
    return SegmentationResult(labels, confidence, NAMES)


@pytest.fixture
def pairs():
    """Seven frames of two cameras, with more and more of their depth missing."""
    rng = np.random.default_rng(11)
    shares = (0, 0.1, 0.3, 0.6, 1, 0.04, 0.3)
    samples = [
        random_sample(rng, str(i), share, 60.0 if i % 3 else 71.0) for i, share in enumerate(shares)
    ]
    return [(sample, random_result(rng, sample)) for sample in samples]


def evaluated(pairs):
    evaluation = Evaluation(NAMES)
    for sample, result in pairs:
        evaluation.update(sample, result, 0.01)
    return evaluation


def scores_of(masked):
    """mIoU and pixel accuracy over some pixels of frames: (truth, prediction, where) triples."""
    confusion = ConfusionMatrix(NAMES)
    for truth, prediction, where in masked:
        chosen = np.where(where, truth, np.uint8(UNLABELLED))
        confusion.update(chosen, prediction)
    scores = confusion.scores()
    return scores['miou'], scores['pixel_accuracy'], int(confusion.pixels.sum())


def naive_boundary_region(labels):
    height, width = labels.shape
    reach = max(round(DILATION_RATIO * math.hypot(height, width)), 1)
    near = np.zeros(labels.shape, bool)
    for v in range(height):
        for u in range(width):
            window = labels[max(v - reach, 0) : v + reach + 1, max(u - reach, 0) : u + reach + 1]
            near[v, u] = len(set(window[window != UNLABELLED].tolist()) | {labels[v, u]}) > 1
    return near


def test_boundary_region_equals_loops():
    rng = np.random.default_rng(2)
    for size in (SIZE, (31, 17)):
        labels = blobs(rng, size, unlabelled=0.4)
        labels[labels == 0] = 254  # the largest id that a mask can hold
        near, labelled = boundary_region(labels), labels != UNLABELLED
        np.testing.assert_array_equal(near[labelled], naive_boundary_region(labels)[labelled])
        assert 0.1 < near[labelled].mean() < 0.9


def test_boundary_iou_equals_pixel_sets(pairs):
    metrics = evaluated(pairs).to_json()
    inside, union = dict.fromkeys(range(4), 0), dict.fromkeys(range(4), 0)
    for sample, result in pairs:
        labelled = sample.labels != UNLABELLED
        prediction = np.where(labelled, result.labels, np.uint8(UNLABELLED))
        truth_band = naive_boundary_region(sample.labels) & labelled
        prediction_band = naive_boundary_region(prediction) & labelled
        for index in range(4):
            true = truth_band & (sample.labels == index)
            predicted = prediction_band & (prediction == index)
            inside[index] += (true & predicted).sum()
            union[index] += (true | predicted).sum()
    expected = [inside[index] / union[index] for index in range(4)]
    ious = [metrics['per_class'][name]['boundary_iou'] for name in NAMES]
    assert ious == pytest.approx(expected)
    assert metrics['boundary_iou'] == pytest.approx(np.mean(expected))


def test_by_distance_equals_masks(pairs):
    metrics = evaluated(pairs).to_json()
    ranges = [(0, 2), (2, 4), (4, None)]
    assert [(row['from_m'], row['to_m']) for row in metrics['by_distance']] == ranges
    for row, (start, end) in zip(metrics['by_distance'], ranges, strict=True):
        expected = scores_of(
            (s.labels, r.labels, (s.frame.depth_m >= start) & (s.frame.depth_m < (end or np.inf)))
            for s, r in pairs
        )
        assert (row['miou'], row['pixel_accuracy'], row['pixels']) == pytest.approx(expected)
    row = metrics['without_depth']
    expected = scores_of((s.labels, r.labels, np.isnan(s.frame.depth_m)) for s, r in pairs)
    assert (row['miou'], row['pixel_accuracy'], row['pixels']) == pytest.approx(expected)


def test_groups_equal_separate_evaluations(pairs):
    metrics = evaluated(pairs).to_json()
    rows = metrics['by_missing_depth']
    assert [row['frames'] for row in rows] == [2, 1, 2, 2]
    for row, chosen in zip(rows, ((0, 5), (1,), (2, 6), (3, 4)), strict=True):
        part = evaluated([pairs[i] for i in chosen]).to_json()
        assert row['miou'] == part['miou']
        assert row['pixel_accuracy'] == part['pixel_accuracy']
    cameras = metrics['per_camera']
    assert list(cameras) == ['75x52, focal length 60', '75x52, focal length 71']
    part = evaluated([pairs[i] for i in (0, 3, 6)]).to_json()
    assert cameras['75x52, focal length 71']['frames'] == 3
    assert cameras['75x52, focal length 71']['miou'] == part['miou']
    assert part['per_camera'] is None


def test_named_cameras_keep_their_names(pairs):
    named = [
        (dataclasses.replace(sample, camera=name), result)
        for name, (sample, result) in zip(('kv2', 'xtion', 'kv2'), pairs[:3], strict=True)
    ]
    cameras = evaluated(named).to_json()['per_camera']
    assert {name: part['frames'] for name, part in cameras.items()} == {'kv2': 2, 'xtion': 1}


def test_calibration_equals_scikit_learn(pairs):
    sklearn = pytest.importorskip('sklearn.calibration', reason='it is the other opinion')
    right, confidence = [], []
    for sample, result in pairs:
        counted = (sample.labels != UNLABELLED) & (result.labels != UNLABELLED)
        right.append((sample.labels == result.labels)[counted])
        # In steps of 1/255 it is counted exactly.
        confidence.append((np.rint(result.confidence * 255) / 255)[counted])
    right, confidence = np.concatenate(right), np.concatenate(confidence).astype(np.float64)
    calibration = evaluated(pairs).to_json()['calibration']
    # A level on the border of two bins belongs to the upper one here, to the lower one there.
    upper = np.minimum(confidence + 1e-9, 1)
    accuracies, confidences = sklearn.calibration_curve(right, upper, n_bins=15)
    assert [b['accuracy'] for b in calibration['bins']] == pytest.approx(accuracies)
    assert [b['confidence'] for b in calibration['bins']] == pytest.approx(confidences, abs=1e-6)
    shares = np.array([b['pixels'] for b in calibration['bins']]) / len(right)
    assert sum(b['pixels'] for b in calibration['bins']) == len(right)
    assert calibration['ece'] == pytest.approx(shares @ np.abs(accuracies - confidences), abs=1e-6)


def test_intervals_contain_scores_of_several_frames(pairs):
    assert evaluated(pairs[:1]).to_json()['intervals']['miou'] is None
    metrics = evaluated(pairs).to_json()
    assert metrics['intervals'] == evaluated(pairs).to_json()['intervals']
    for key in ('miou', 'pixel_accuracy', 'mean_accuracy', 'frequency_weighted_iou'):
        low, high = metrics['intervals'][key]
        assert low < metrics[key] < high
    for name in NAMES:
        low, high = metrics['intervals']['per_class_iou'][name]
        assert low < metrics['per_class_iou'][name] < high


def test_interval_equals_binomial_quantiles():
    """Of 20 frames of one size 15 are wholly right: the accuracy of a draw is binomial."""
    scipy = pytest.importorskip('scipy.stats', reason='has the binomial distribution')
    truth = np.zeros(SIZE, np.uint8)
    frame = random_sample(np.random.default_rng(1)).frame
    pairs = [
        (
            Sample(str(i), frame, truth),
            SegmentationResult(truth + np.uint8(i < 5), np.ones(SIZE, np.float32), NAMES),
        )
        for i in range(20)
    ]
    low, high = evaluated(pairs).to_json()['intervals']['pixel_accuracy']
    expected = scipy.binom.ppf([0.025, 0.975], 20, 0.75) / 20
    assert (low, high) == pytest.approx(expected, abs=0.051)


def test_absent_classes_are_null(pairs):
    evaluation = Evaluation((*NAMES, 'never'))
    for sample, result in pairs[:2]:
        evaluation.update(sample, result)
    metrics = evaluation.to_json()
    undefined = dict.fromkeys(('iou', 'accuracy', 'boundary_iou'))
    assert metrics['per_class']['never'] == {**undefined, 'pixels': 0}
    assert metrics['intervals']['per_class_iou']['never'] is None


def test_add_equals_one_evaluation(pairs):
    whole, first, second = evaluated(pairs), evaluated(pairs[:3]), evaluated(pairs[3:])
    first.add(pickle.loads(pickle.dumps(second)))
    assert first.to_json() == whole.to_json()
    with pytest.raises(InputError, match='names and their order'):
        first.add(Evaluation(NAMES[::-1]))


def test_metrics_are_valid_json(pairs):
    for metrics in (evaluated(pairs).to_json(), Evaluation(NAMES).to_json()):
        assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics['miou'] is None
    assert metrics['boundary_iou'] is None
    assert metrics['calibration'] is None
    assert metrics['latency_ms'] is None


def test_frame_scores_have_times(pairs):
    evaluation = Evaluation(NAMES)
    for milliseconds, (sample, result) in enumerate(pairs, 20):
        evaluation.update(sample, result, milliseconds / 1000)
    metrics = evaluation.to_json()
    assert [score['id'] for score in metrics['frame_scores']] == [s.id for s, _ in pairs]
    assert [score['ms'] for score in metrics['frame_scores']] == pytest.approx(range(20, 27))
    assert metrics['latency_ms'] == pytest.approx({'p50': 23, 'p95': 25.7, 'p99': 25.94})
    for score, pair in zip(metrics['frame_scores'], pairs, strict=True):
        alone = evaluated([pair]).to_json()
        assert score['miou'] == alone['miou']
        assert score['pixel_accuracy'] == alone['pixel_accuracy']


def test_invalid_frames_count_nothing(pairs):
    sample, result = pairs[0]
    evaluation = Evaluation(NAMES)
    scaled = dataclasses.replace(sample, labels=None, pose=np.diag([1.0, 2, 1, 1]))
    bad = [
        (dataclasses.replace(sample, labels=None), result, 'has no labels and no pose'),
        (dataclasses.replace(sample, labels=sample.labels | np.uint8(8)), result, 'class id'),
        (sample, SegmentationResult(result.labels[1:], result.confidence[1:], NAMES), 'size'),
        (scaled, result, 'pose of frame 0'),
    ]
    for wrong_sample, wrong_result, message in bad:
        with pytest.raises(InputError, match=message):
            evaluation.update(wrong_sample, wrong_result)
    assert evaluation.to_json() == Evaluation(NAMES).to_json()


def test_memory_per_frame_is_small(pairs):
    """Whatever its size: nothing of the images is kept."""
    sizes = [len(pickle.dumps(evaluated(pairs * times))) for times in (1, 31)]
    assert (sizes[1] - sizes[0]) / (30 * len(pairs)) < 1000
