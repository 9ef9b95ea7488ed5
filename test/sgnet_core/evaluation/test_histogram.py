# SPDX-License-Identifier: Apache-2.0
"""Joint counts against numpy, in one piece and in strips."""

import numpy as np
import pytest

from sgnet_core.evaluation import histogram


@pytest.mark.parametrize('exact', [histogram.EXACT, 100])
@pytest.mark.parametrize('bins', [(5,), (3, 255), (2, 40, 41)])
def test_equals_numpy(monkeypatch, exact, bins):
    monkeypatch.setattr(histogram, 'EXACT', exact)
    rng = np.random.default_rng(1)
    images = [rng.integers(0, min(n + 3, 256), (37, 52)).astype(np.uint8) for n in bins]
    found = histogram.joint_counts(images, bins)
    edges = [np.arange(n + 1) - 0.5 for n in bins]
    expected, _ = np.histogramdd(np.stack([image.ravel() for image in images], 1), edges)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int64
    assert 0 < found.sum() < images[0].size, 'values beyond the bins must occur, and be left out'


def test_an_empty_image_has_no_pixels():
    empty = np.zeros((0, 7), np.uint8)
    assert not histogram.joint_counts([empty, empty], [2, 3]).any()
