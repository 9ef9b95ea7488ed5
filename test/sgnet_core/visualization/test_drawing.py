# SPDX-License-Identifier: Apache-2.0
"""Pictures: what every pixel means, and that text and margins stay inside."""

import cv2
import numpy as np
import pytest

from sgnet_core.errors import InputError, SgnetError
from sgnet_core.labels import NYU13, NYU40, label_set_of
from sgnet_core.types import UNLABELLED
from sgnet_core.visualization.drawing import (
    NO_DEPTH,
    depth_to_rgb,
    legend,
    overlay,
    write_png,
)
from sgnet_core.visualization.text import MARGIN, PAPER


@pytest.fixture
def rgb():
    return np.random.default_rng(1).integers(0, 256, (20, 31, 3)).astype(np.uint8)


@pytest.fixture
def labels():
    """Three vertical bands: class 3, class 7, unlabelled."""
    labels = np.full((20, 31), 3, np.uint8)
    labels[:, 10:20] = 7
    labels[:, 20:] = UNLABELLED
    return labels


def has_ink(picture):
    """(H, W) bool: pixels that are not paper."""
    return (picture != PAPER).any(-1)


# --- overlay


@pytest.mark.filterwarnings('error')
def test_overlay_of_views_of_read_only_arrays_and_of_nothing(rgb, labels):
    expected = overlay(rgb, labels, NYU40.palette)
    rgb.flags.writeable = labels.flags.writeable = False
    picture = overlay(rgb[:, ::-1], labels[:, ::-1], NYU40.palette)
    np.testing.assert_array_equal(picture, expected[:, ::-1])
    assert overlay(rgb[:0], labels[:0], NYU40.palette).shape == (0, 31, 3)


def test_overlay_errors(rgb, labels):
    with pytest.raises(InputError, match=r'labels \(19, 31\) and image \(20, 31\) differ'):
        overlay(rgb, labels[1:], NYU40.palette)
    with pytest.raises(InputError, match=r'alpha 1.5 must be in 0\.\.1'):
        overlay(rgb, labels, NYU40.palette, 1.5)
    with pytest.raises(InputError, match='class id 7 in labels of 5 classes'):
        overlay(rgb, labels, NYU40.palette[:5])


# --- depth


def test_depth_near_is_blue_far_is_red_missing_is_grey():
    depth_m = np.tile(np.linspace(0.5, 8, 40, dtype=np.float32), (3, 1))
    depth_m[1] = np.nan
    depth_m[2, 5] = np.inf
    picture = depth_to_rgb(depth_m)
    near, far = picture[0, 0].astype(int), picture[0, -1].astype(int)
    assert near[2] > near[0] + 50
    assert far[0] > far[2] + 50
    np.testing.assert_array_equal(picture[1], np.broadcast_to(NO_DEPTH, (40, 3)))
    np.testing.assert_array_equal(picture[2, 5], NO_DEPTH)


def test_no_depth_looks_like_no_missing_depth():
    picture = depth_to_rgb(np.linspace(0, 1, 1000, dtype=np.float32)[None])
    assert np.abs(picture.astype(int) - NO_DEPTH).max(-1).min() > 60


def test_depth_range_can_be_fixed():
    one, two = np.full((2, 3), 2.0, np.float32), np.full((2, 3), 4.0, np.float32)
    np.testing.assert_array_equal(depth_to_rgb(one), depth_to_rgb(two))
    assert (depth_to_rgb(one, 1, 5) != depth_to_rgb(two, 1, 5)).any()
    np.testing.assert_array_equal(depth_to_rgb(one, 3, 5), depth_to_rgb(one - 1, 3, 5))


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('shape', [(4, 5), (0, 5)])
def test_depth_without_any_measurement(shape):
    picture = depth_to_rgb(np.full(shape, np.nan, np.float32))
    assert picture.shape == (*shape, 3)
    assert (picture == NO_DEPTH).all()


# --- legend


def test_legend_shows_every_colour_once():
    picture = legend(NYU40.class_names, NYU40.palette, width=700)
    assert picture.shape[1] == 700
    colors = {tuple(color) for color in picture.reshape(-1, 3).tolist()}
    assert {tuple(color) for color in NYU40.palette.tolist()} <= colors


def test_legend_of_what_is_present(labels):
    picture = legend(NYU40.class_names, NYU40.palette, np.unique(labels))
    colors = {tuple(color) for color in picture.reshape(-1, 3).tolist()}
    for class_id, expected in ((3, True), (7, True), (4, False), (20, False)):
        assert (tuple(NYU40.palette[class_id].tolist()) in colors) == expected
    assert (0, 0, 0) in colors


def test_legend_grows_in_height_not_in_width():
    narrow = legend(NYU13.class_names, NYU13.palette, width=200)
    wide = legend(NYU13.class_names, NYU13.palette, width=1200)
    assert narrow.shape[0] > wide.shape[0]
    assert not has_ink(narrow)[:, :MARGIN].any()
    assert not has_ink(wide)[:, -MARGIN:].any()


def test_legend_of_nothing_and_of_a_foreign_class():
    assert not has_ink(legend(NYU13.class_names, NYU13.palette, [])).any()
    with pytest.raises(InputError, match='class id 13 in a legend of 13 classes'):
        legend(NYU13.class_names, NYU13.palette, [13])


def test_legend_of_255_classes_and_one_very_long_name():
    labels = label_set_of([f'class {i}' for i in range(254)] + ['x' * 500])
    assert legend(labels.class_names, labels.palette, width=300).shape[1] == 300


# --- files


def test_png_is_read_back_exactly(tmp_path, rgb):
    path = tmp_path / 'deep' / 'er' / 'picture.png'
    write_png(path, rgb)
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], rgb)


def test_png_errors(tmp_path, rgb):
    with pytest.raises(InputError, match=r'a\.jpg: pictures are written as PNG; choose a name'):
        write_png(tmp_path / 'a.jpg', rgb)
    (tmp_path / 'file').write_text('')
    with pytest.raises(SgnetError, match=r'a\.png: cannot be written: '):
        write_png(tmp_path / 'file' / 'a.png', rgb)
