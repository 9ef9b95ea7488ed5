# SPDX-License-Identifier: Apache-2.0
"""Scores against counts made by hand and against scikit-learn."""

import numpy as np
import pytest

from sgnet_core.errors import InputError
from sgnet_core.evaluation import ConfusionMatrix, confusion_matrix
from sgnet_core.types import UNLABELLED

NAMES = ('a', 'b', 'c', 'd')


@pytest.fixture
def by_hand() -> ConfusionMatrix:
    """Class a: 3 right, 1 called b. b: 2 right, 1 unpredicted. c: only predicted. d: absent."""
    matrix = ConfusionMatrix(NAMES)
    truth = np.array([[0, 0, 0, 0, 1], [1, 1, 1, 255, 255]], np.uint8)
    prediction = np.array([[0, 0, 0, 1, 1], [1, 255, 2, 0, 255]], np.uint8)
    matrix.update(truth, prediction)
    return matrix


def random_labels(rng, shape, classes, unlabelled):
    labels = rng.integers(0, classes, shape).astype(np.uint8)
    labels[rng.random(shape) < unlabelled] = UNLABELLED
    return labels


def test_scores_match_hand_counts(by_hand):
    assert by_hand.counts.tolist() == [[3, 1, 0, 0], [0, 2, 1, 0], [0] * 4, [0] * 4]
    scores = by_hand.scores()
    assert scores['per_class_iou'] == {'a': 3 / 4, 'b': 2 / 5, 'c': 0.0, 'd': None}
    assert scores['miou'] == pytest.approx((3 / 4 + 2 / 5 + 0) / 3)
    assert scores['pixel_accuracy'] == pytest.approx(5 / 8)
    assert scores['mean_accuracy'] == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert scores['frequency_weighted_iou'] == pytest.approx(4 / 8 * 3 / 4 + 4 / 8 * 2 / 5)
    assert scores['confusion'] == by_hand.counts.tolist()
    assert scores['unpredicted'] == [0, 1, 0, 0]


@pytest.mark.parametrize('unpredicted', [0.0, 0.2])
@pytest.mark.parametrize('classes', [2, 13, 40])
def test_scores_equal_scikit_learn(classes, unpredicted):
    sklearn = pytest.importorskip('sklearn.metrics', reason='scikit-learn is the oracle')
    rng = np.random.default_rng(classes)
    matrix, truths, predictions = ConfusionMatrix([f'{i}' for i in range(classes)]), [], []
    for shape in ((48, 65), (1, 50)):
        truth = random_labels(rng, shape, classes, 0.3)
        prediction = random_labels(rng, shape, classes, unpredicted)
        prediction = np.where(rng.random(shape) < 0.5, prediction, truth).astype(np.uint8)
        matrix.update(truth, prediction)
        truths += truth[truth != UNLABELLED].tolist()
        predictions += prediction[truth != UNLABELLED].tolist()
    ids = np.arange(classes)
    pixels = sklearn.confusion_matrix(truths, predictions, labels=[*ids, UNLABELLED])
    np.testing.assert_array_equal(matrix.pixels, pixels[:-1])
    scores = matrix.scores()
    iou = sklearn.jaccard_score(truths, predictions, labels=ids, average=None)
    np.testing.assert_allclose(list(scores['per_class_iou'].values()), iou)
    recall = sklearn.recall_score(truths, predictions, labels=ids, average='macro')
    weighted = sklearn.jaccard_score(truths, predictions, labels=ids, average='weighted')
    assert scores['miou'] == pytest.approx(iou.mean())
    assert scores['mean_accuracy'] == pytest.approx(recall)
    assert scores['frequency_weighted_iou'] == pytest.approx(weighted)
    assert scores['pixel_accuracy'] == pytest.approx(sklearn.accuracy_score(truths, predictions))


SCORES = ('miou', 'pixel_accuracy', 'mean_accuracy', 'frequency_weighted_iou')


def test_scores_without_labels_are_none():
    matrix = ConfusionMatrix(NAMES)
    matrix.update(np.full((2, 3), UNLABELLED, np.uint8), np.zeros((2, 3), np.uint8))
    matrix.update(np.zeros((0, 3), np.uint8), np.zeros((0, 3), np.uint8))
    scores = matrix.scores()
    assert [scores[key] for key in SCORES] == [None] * 4
    assert set(scores['per_class_iou'].values()) == {None}
    assert 'nan' not in matrix.table()


def test_add_equals_update():
    rng = np.random.default_rng(9)
    whole, first, second = (ConfusionMatrix(NAMES) for _ in range(3))
    for part in (first, second):
        truth, prediction = (random_labels(rng, (4, 6), 4, 0.2) for _ in range(2))
        whole.update(truth, prediction)
        part.update(truth, prediction)
    first.add(second)
    assert first.scores() == whole.scores()
    with pytest.raises(InputError, match='names and their order must be the same'):
        first.add(ConfusionMatrix(NAMES[::-1]))


def test_counts_exceed_32_bits_with_255_classes():
    matrix = ConfusionMatrix([f'{i}' for i in range(255)])
    truth = np.arange(256, dtype=np.uint8).reshape(2, 128)
    matrix.update(truth, truth)
    np.testing.assert_array_equal(matrix.counts, np.eye(255, dtype=np.int64))
    for _ in range(40):
        matrix.add(matrix)
    assert matrix.scores()['confusion'][7][7] == 2**40


@pytest.mark.parametrize(
    ('truth', 'prediction', 'message'),
    [
        ([[4]], [[0]], r'the truth has class id 4, but there are 4 classes; ids must be 0\.\.3'),
        ([[0, 255]], [[0, 254]], 'the prediction has class id 254, but there are 4 classes'),
        ([[0, 1]], [[0]], r'truth is \(1, 2\), the prediction \(1, 1\)'),
    ],
)
def test_invalid_labels_are_errors_and_count_nothing(truth, prediction, message):
    matrix = ConfusionMatrix(NAMES)
    with pytest.raises(InputError, match=message):
        matrix.update(np.array(truth, np.uint8), np.array(prediction, np.uint8))
    assert not matrix.counts.any()


def test_signed_labels_and_empty_classes_are_errors():
    with pytest.raises(InputError, match='the truth must be uint8 class ids, got int64'):
        ConfusionMatrix(NAMES).update(np.zeros((1, 1), np.int64), np.zeros((1, 1), np.uint8))
    with pytest.raises(InputError, match='0 classes; give 1 to 255 names'):
        ConfusionMatrix(())


def test_table_sorts_classes_by_size_and_counts_unpredicted_pixels(by_hand):
    lines = by_hand.table().splitlines()
    assert [line.split() for line in lines] == [
        ['class', 'IoU', '%', 'accuracy', '%', 'share', '%'],
        ['a', '75.00', '75.00', '50.00'],
        ['b', '40.00', '50.00', '50.00'],
        ['c', '0.00', '-', '0.00'],
        ['d', '-', '-', '0.00'],
        ['-' * len(lines[0])],
        ['mean', '38.33', '62.50'],
        ['weighted', 'by', 'share', '57.50'],
        ['pixel', 'accuracy', '62.50'],
        ['1', 'of', '8', 'labelled', 'pixels', 'have', 'no', 'prediction:', 'counted', 'wrong'],
    ]


@pytest.mark.parametrize('strip', [confusion_matrix.MAX_STRIP_PIXELS, 100])
@pytest.mark.parametrize('bins', [(5,), (3, 255), (2, 40, 41)])
def test_joint_counts_equal_numpy(monkeypatch, strip, bins):
    monkeypatch.setattr(confusion_matrix, 'MAX_STRIP_PIXELS', strip)
    rng = np.random.default_rng(1)
    images = [rng.integers(0, min(n + 3, 256), (37, 52)).astype(np.uint8) for n in bins]
    counts = confusion_matrix.joint_counts(images, bins)
    edges = [np.arange(n + 1) - 0.5 for n in bins]
    expected, _ = np.histogramdd(np.stack([image.ravel() for image in images], 1), edges)
    np.testing.assert_array_equal(counts, expected)
    assert 0 < counts.sum() < images[0].size, 'values beyond the bins must occur, and be left out'
