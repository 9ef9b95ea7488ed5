# SPDX-License-Identifier: Apache-2.0
"""Class names, palettes and mappings between label sets."""

import numpy as np
import pytest

from sgnet_core.errors import InputError
from sgnet_core.labels import (
    LABEL_SETS,
    NYU13,
    NYU37,
    NYU40,
    LabelSet,
    label_set_of,
    nyu40_to_nyu13,
    remap,
)
from sgnet_core.types import UNLABELLED
from sgnet_core.visualization.overlay import colorize


def oklab(rgb: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 sRGB -> (N, 3) OKLab (Ottosson 2020), where distance is what the eye sees."""
    c = rgb / 255.0
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.cbrt(linear @ np.transpose(to_lms)) @ np.transpose(to_lab)


def smallest_distance(palette: np.ndarray) -> float:
    """Between any two colours of the palette and black, in OKLab."""
    lab = oklab(np.vstack([palette, np.zeros((1, 3), np.uint8)]))
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    return distance[~np.eye(len(lab), dtype=bool)].min()


def test_nyu40_names_are_those_of_the_data_set(research_data):
    names = (research_data / 'nyuv2' / 'classes40.txt').read_text().splitlines()
    assert names[0] == 'void'
    assert NYU40.class_names == tuple(names[1:])


def test_nyu13_mapping_is_that_of_the_toolbox(research_data):
    scipy_io = pytest.importorskip('scipy.io', reason='scipy reads the .mat file')
    mapping = scipy_io.loadmat(research_data / 'nyuv2_meta' / 'class13Mapping.mat')
    mapping = mapping['classMapping13'][0, 0]
    np.testing.assert_array_equal(nyu40_to_nyu13, mapping['labels13'].ravel() - 1)
    assert NYU13.class_names == tuple(str(name[0]) for name in mapping['classNames'].ravel())


def test_nyu13_mapping_by_meaning():
    same = ('bed', 'books', 'ceiling', 'chair', 'floor', 'picture', 'sofa', 'table', 'wall')
    meaning = dict(zip(same, same, strict=True)) | {
        'television': 'tv',
        'desk': 'table',
        'blinds': 'window',
        'floor mat': 'floor',
        'night stand': 'furniture',
        'person': 'objects',
    }
    ids = [nyu40_to_nyu13[NYU40.class_names.index(name)] for name in meaning]
    assert [NYU13.class_names[i] for i in ids] == list(meaning.values())


def test_sizes_and_order_of_the_label_sets():
    sizes = {name: len(labels) for name, labels in LABEL_SETS.items()}
    assert list(sizes.items()) == [('nyu40', 40), ('nyu37', 37), ('nyu13', 13)]
    assert NYU37.class_names == NYU40.class_names[:37]
    assert NYU40.class_names[37:] == ('otherstructure', 'otherfurniture', 'otherprop')
    np.testing.assert_array_equal(NYU37.palette, NYU40.palette[:37])


@pytest.mark.parametrize('labels', LABEL_SETS.values(), ids=LABEL_SETS)
def test_every_colour_is_distinct_and_not_black(labels):
    assert smallest_distance(labels.palette) > 0.1


def test_colorize_paints_classes_and_leaves_unlabelled_black():
    labels = np.array([[0, 39, UNLABELLED], [UNLABELLED, 1, 0]], np.uint8)
    colors = colorize(labels, NYU40.palette)
    black_at_255 = np.zeros((256, 3), np.uint8)
    black_at_255[:40] = NYU40.palette
    assert colors.dtype == np.uint8
    np.testing.assert_array_equal(colors, black_at_255[labels])


def test_remap_keeps_unlabelled():
    labels = np.array([[0, 1, 2, UNLABELLED]], np.uint8)
    np.testing.assert_array_equal(
        remap(labels, nyu40_to_nyu13), np.array([[11, 4, 5, UNLABELLED]], np.uint8)
    )


def test_unknown_class_id_is_named():
    with pytest.raises(InputError, match=r'class id 13 in labels of 13 classes.*0\.\.12.*255'):
        colorize(np.array([[12, 13]], np.uint8), NYU13.palette)
    with pytest.raises(InputError, match='uint8, got int64'):
        remap(np.array([[1]], np.int64), nyu40_to_nyu13)


def test_label_set_of_finds_known_sets_by_their_names():
    for known in LABEL_SETS.values():
        assert label_set_of(list(known.class_names)) is known


def test_custom_palette_keeps_known_colours_and_is_deterministic():
    names = ('floor', 'forklift', 'pallet', 'person', 'tv', 'television')
    custom = label_set_of(names)
    assert custom.name == 'custom'
    assert custom.class_names == names
    for name in ('floor', 'person', 'television'):
        expected = NYU40.palette[NYU40.class_names.index(name)]
        np.testing.assert_array_equal(custom.palette[names.index(name)], expected)
    np.testing.assert_array_equal(custom.palette, label_set_of(names).palette)
    assert smallest_distance(custom.palette) > 0.1


@pytest.mark.parametrize('count', [1, 2, 41, 255])
def test_custom_palette_of_any_size_has_distinct_colours(count):
    palette = label_set_of([f'class {i}' for i in range(count)]).palette
    assert len(np.unique(palette, axis=0)) == count
    assert palette.any(axis=1).all()


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        ((), '0 classes given'),
        (tuple(map(str, range(256))), '256 classes given'),
        (tuple(map(str, range(200_000))), '200000 classes given'),
        (('wall', 'floor', 'wall'), "'wall' is given twice"),
        (('wall', ''), 'class 1 has an empty name'),
    ],
)
def test_label_set_rejects_invalid_names(names, message):
    with pytest.raises(InputError, match=message):
        label_set_of(names)


def test_label_set_rejects_a_palette_of_another_size():
    with pytest.raises(InputError, match=r'palette of 2 classes must be \(2, 3\) uint8'):
        LabelSet('mine', ('a', 'b'), np.zeros((3, 3), np.uint8))


def test_label_set_is_read_only_and_compares_by_names():
    with pytest.raises(ValueError, match='read-only'):
        NYU40.palette[0] = 0
    twin = LabelSet('nyu13', NYU13.class_names, NYU13.palette.copy())
    assert twin == NYU13
    assert hash(twin) == hash(NYU13)
    assert NYU37 != NYU40
