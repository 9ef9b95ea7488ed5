# SPDX-License-Identifier: Apache-2.0
"""Legends show the colours of their classes, and text stays inside."""

import pytest

from sgnet_core.errors import InputError
from sgnet_core.labels import NYU13, NYU40, label_set_of
from sgnet_core.visualization.legend import MARGIN, PAPER, legend


def has_ink(picture):
    """(H, W) bool: pixels that are not paper."""
    return (picture != PAPER).any(-1)


@pytest.mark.parametrize('present', [None, [3, 7, 255]])
def test_legend_has_the_colours_of_its_classes(present):
    picture = legend(NYU40.class_names, NYU40.palette, present, width=700)
    assert picture.shape[1] == 700
    colors = {tuple(color) for color in picture.reshape(-1, 3).tolist()}
    shown = {i for i, color in enumerate(NYU40.palette.tolist()) if tuple(color) in colors}
    assert shown == ({3, 7} if present else set(range(40)))
    assert ((0, 0, 0) in colors) == bool(present)


def test_legend_grows_in_height_not_in_width():
    narrow = legend(NYU13.class_names, NYU13.palette, width=200)
    wide = legend(NYU13.class_names, NYU13.palette, width=1200)
    assert narrow.shape[0] > wide.shape[0]
    assert not has_ink(narrow)[:, :MARGIN].any()
    assert not has_ink(wide)[:, -MARGIN:].any()


def test_legend_without_classes_is_empty():
    assert not has_ink(legend(NYU13.class_names, NYU13.palette, [])).any()


def test_legend_of_an_unknown_class_is_an_error():
    with pytest.raises(InputError, match='class id 13 in a legend of 13 classes'):
        legend(NYU13.class_names, NYU13.palette, [13])


def test_legend_cuts_long_names():
    labels = label_set_of([f'class {i}' for i in range(254)] + ['x' * 500])
    assert legend(labels.class_names, labels.palette, width=300).shape[1] == 300
