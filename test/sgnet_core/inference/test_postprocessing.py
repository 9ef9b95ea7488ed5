# SPDX-License-Identifier: Apache-2.0
"""Labels and confidence from scores."""

import math

import torch
import pytest

from sgnet_core.inference.postprocessing import (
    STRIP_ROWS,
    most_probable,
    most_probable_at,
    probabilities_at,
)
from sgnet_core.model.sgnet import resize_scores


@pytest.mark.parametrize('size', [(2 * STRIP_ROWS + 7, 51), (5, 7), (9, 1), (1, 13)])
def test_strips_equal_full_score_maps(size):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 6, 5, 7, generator=generator).to(memory_format=torch.channels_last)
    probability = resize_scores(scores, size).softmax(1)
    labels, confidence = most_probable_at(scores, size)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), probability.argmax(1))
    torch.testing.assert_close(confidence(), probability.amax(1))
    some = probabilities_at(scores[:1], size, [4, 0], stride=3)
    torch.testing.assert_close(some, probability[0, [4, 0], ::3, ::3].permute(1, 2, 0))


@pytest.mark.parametrize('size', [(61, 83), (12, 16), (40, 9), (23, 31)])
def test_cells_of_one_class_equal_full_score_maps(size):
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(1, 7, 12, 16, generator=generator)
    scores[:, 4, :, 3:9] += 5
    scores[:, 2, 5:, 11:] += 5
    labels, _ = most_probable_at(scores, size)
    assert torch.equal(labels.long(), resize_scores(scores, size).argmax(1))


def test_first_of_equal_scores_wins():
    labels, confidence = most_probable(torch.tensor([1.0, 3.0, 3.0, 2.0]).view(1, 4, 1, 1))
    assert labels.item() == 1
    assert confidence.item() == pytest.approx(1 / (2 + math.exp(-2) + math.exp(-1)))


def test_half_precision_counts_all_255_classes():
    """bfloat16 itself cannot count to 255."""
    scores = torch.zeros(1, 255, 1, 2, dtype=torch.bfloat16)
    scores[0, 254, 0, 0] = scores[0, 201, 0, 1] = 1
    assert most_probable_at(scores, (1, 2))[0].flatten().tolist() == [254, 201]


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_nan_score_changes_neighbours_only(value):
    scores = torch.randn(1, 4, 9, 12, generator=torch.Generator().manual_seed(0))
    size = (70, 95)
    expected, _ = most_probable_at(scores, size)
    scores[0, 2, 4, 6] = value
    labels, confidence = most_probable_at(scores, size)
    assert torch.equal(labels, most_probable(resize_scores(scores, size))[0])
    assert 0.9 < (labels == expected).float().mean() < 1
    assert confidence().isfinite().all()


def test_nan_pixel_is_unlabelled():
    """An overflow in half precision must not become a class."""
    scores = torch.tensor([[0.0, 1.0], [math.nan, 2.0]]).view(1, 2, 1, 2)
    labels, confidence = most_probable(scores)
    assert labels.flatten().tolist() == [255, 1]
    assert confidence[0, 0, 0] == 0
