# SPDX-License-Identifier: Apache-2.0
"""The picture of the taps: dots where the taps are, one scale for all maps, nothing breaks it."""

from dataclasses import replace

import torch  # noqa: F401  before cv2
import numpy as np
import pytest
from networks import bent, untrained

from sgnet_core.checkpoint import save_checkpoint
from sgnet_core.cli import run_command
from sgnet_core.color_scale import LogColorScale
from sgnet_core.data.folder import FolderDataset, FolderWriter
from sgnet_core.data.image_files import read_rgb
from sgnet_core.data.rooms import RoomDataset
from sgnet_core.draw_taps import CELL_WIDTH, HEADER, layer_colors, taps_picture
from sgnet_core.lettering import GAP, MARGIN, PAPER
from sgnet_core.segmenter import Segmenter
from sgnet_core.taps import LayerTaps
from sgnet_core.types import CameraIntrinsics, RgbdFrame

SIZE = (90, 122)
CELL = (round(CELL_WIDTH * SIZE[0] / SIZE[1]), CELL_WIDTH)


def grey_frame(depth_m=2.0, size=SIZE):
    camera = CameraIntrinsics(size[1], size[0], 100.0, 100.0, 60.0, 45.0)
    return RgbdFrame(np.full((*size, 3), 128, np.uint8), np.full(size, depth_m, np.float32), camera)


def layer(offset=0.0, name='head.mixers.0', weight=0.5, size=SIZE):
    offsets = np.full((18, 8, 12), offset, np.float32)
    mask = np.full((9, 8, 12), weight, np.float32)
    return LayerTaps(name, offsets, mask, 1, 1, 1, (64, 96), size)


def cell(picture, row, column):
    """One picture of a sheet without title, below its two lines of text."""
    top = MARGIN + row * (CELL[0] + HEADER + GAP)
    left = MARGIN + column * (CELL_WIDTH + GAP)
    return picture[top + HEADER : top + HEADER + CELL[0], left : left + CELL_WIDTH]


def places_of(color, picture):
    """(N, 2) (column, row) of the pixels of exactly this colour."""
    return np.argwhere((picture == color).all(-1))[:, ::-1]


def test_dots_are_where_the_taps_are():
    taps = layer()
    (color,) = layer_colors([taps.name])
    picture = taps_picture(grey_frame(), [taps], [(70, 30)])
    scale = CELL_WIDTH / SIZE[1]
    expected = (taps.positions_at(70, 30) + 0.5) * scale - 0.5
    found = places_of(color, cell(picture, 0, 0))
    away = np.linalg.norm(found[:, None] - expected, axis=2)
    assert away.min(axis=1).max() < 4  # no dot elsewhere
    assert np.delete(away.min(axis=0), 4).max() < 2  # one on each tap but the one below the cross
    # Nothing of it in the picture of depth.
    assert not len(places_of(color, cell(picture, 0, 2)))


def test_the_area_of_a_dot_is_its_weight():
    (color,) = layer_colors(['a'])
    areas = [
        len(places_of(color, cell(taps_picture(grey_frame(), [layer(weight=w)], [(70, 30)]), 0, 1)))
        for w in (0.25, 1.0)
    ]
    assert areas[1] / areas[0] == pytest.approx(4, rel=0.35)


def test_every_pixel_has_a_row_and_every_layer_a_map():
    layers = [layer(0.1 * i, f'backbone.layer{i // 3}.{i % 3}.conv2') for i in range(5)]
    picture = taps_picture(grey_frame(), layers, [(70, 30), (0, 0)], 'title', 'caption')
    assert picture.dtype == np.uint8
    assert picture.shape[1] == 2 * MARGIN + 3 * CELL_WIDTH + 2 * GAP
    # Two rows for pixels and two for maps.
    assert 4 * (CELL[0] + HEADER) < picture.shape[0] < 4 * (CELL[0] + HEADER) + 250
    assert (picture[:, :MARGIN] == PAPER).all()
    assert (picture[:, -MARGIN:] == PAPER).all()


def test_maps_of_equal_movement_are_equally_coloured_and_more_is_lighter():
    layers = [layer(0.1), layer(0.4), layer(0.1)]
    picture = taps_picture(grey_frame(), layers, [(70, 30)])
    first, second, third = (cell(picture, 1, i)[10:50, 10:100] for i in range(3))
    np.testing.assert_array_equal(first, third)
    assert second.mean() > first.mean() + 20


@pytest.mark.parametrize('offset', [0.0, np.nan, np.inf, -1e30, 1e9])
def test_extreme_offsets_are_drawn(offset):
    picture = taps_picture(grey_frame(), [layer(offset), layer(0.5)], [(121, 89)])
    assert picture.shape[0] > 2 * CELL[0]


@pytest.mark.parametrize('size', [(24, 32), (12, 16), (3, 5), (1, 1), (7, 200)])
def test_taps_of_tiny_frames_are_drawn(size):
    height, width = size
    pixels = [(0, 0), (width - 1, height - 1), (width // 2, height // 3)]
    for offset in (0.0, 0.3, -0.7, 5.0):
        taps_picture(grey_frame(size=size), [layer(offset, size=size)], pixels)


def test_a_mask_that_is_no_number_is_drawn_as_weight_0():
    picture = taps_picture(grey_frame(), [layer(weight=np.nan)], [(70, 30)])
    np.testing.assert_array_equal(
        picture, taps_picture(grey_frame(), [layer(weight=0.0)], [(70, 30)])
    )


def test_a_frame_without_depth_is_drawn():
    assert taps_picture(grey_frame(np.nan), [layer()], [(0, 89)]).shape[0] > 2 * CELL[0]


@pytest.mark.parametrize('low', [0.0, 0.013, 3.1, 70.0])
@pytest.mark.parametrize('ratio', [1.0, 1.6, 40.0, 1e6])
def test_a_scale_has_numbers_and_ends_in_its_own_colours(low, ratio):
    values = np.array([[low, low * ratio]], np.float32)
    scale = LogColorScale.of([values, np.full((2, 3), np.nan)])
    assert 0 < scale.low < scale.high
    ticks = scale._ticks()
    assert 1 <= len(ticks) < 20
    bar = scale.bar(500, 'px')
    ends = scale.colors(np.array([[scale.low, scale.high]], np.float32))[0]
    assert (bar[:, MARGIN] == ends[0]).all(-1).any()
    assert (bar[:, -MARGIN - 1] == ends[1]).all(-1).any()


def test_layers_of_every_network_have_their_own_colours():
    blocks = [(0, 1, 2), (0, 21, 22), (0, 1, 2), (0, 1, 2)]
    r101 = [f'backbone.layer{s + 1}.{b}.conv2' for s in range(4) for b in blocks[s]]
    lite = [f'head.mixers.{i}' for i in range(3)]
    for names in (r101, lite):
        assert len(set(layer_colors(names))) == len(names)


# --- predict --taps


@pytest.fixture(scope='module')
def room(tmp_path_factory):
    """One generated room, 122x90, as a data set."""
    root = tmp_path_factory.mktemp('taps') / 'room'
    rooms = RoomDataset(1, SIZE, seed=4)
    sample = rooms[0]
    with FolderWriter(
        root, 'room', sample.frame.intrinsics, rooms.class_names, 30.0, with_pose=True,
        image_suffix='.png',
    ) as writer:  # fmt: skip
        writer.write(sample)
    return root


def test_predict_draws_the_taps_of_the_shipped_network(room, tmp_path):
    pixel, out = (70, 30), tmp_path / 'out'
    arguments = ['--data', str(room), '--out', str(out), '--device', 'cpu', '--taps', '70,30']
    assert run_command('sgnet_core', 'predict', arguments) == 0
    sample = FolderDataset(room)[0]
    names = {f'{sample.id}_{kind}.png' for kind in ('mask', 'overlay', 'taps')}
    assert {path.name for path in out.iterdir()} == names
    picture = read_rgb(out / f'{sample.id}_taps.png')
    segmenter = Segmenter.from_checkpoint(device='cpu', backend='torch')
    layers = segmenter.geometry(sample.frame)
    title = f'Where S-Conv samples: {sample.id}'
    expected = taps_picture(sample.frame, layers, [pixel], title, segmenter.description)
    np.testing.assert_array_equal(picture, expected)
    untitled = taps_picture(sample.frame, layers, [pixel])
    overview = cell(untitled, 0, 0)
    scale = CELL_WIDTH / SIZE[1]
    for taps, color in zip(layers, layer_colors([taps.name for taps in layers]), strict=True):
        found = places_of(color, overview)
        positions = (taps.positions_at(*pixel) + 0.5) * scale - 0.5
        assert len(found) > 10
        assert np.linalg.norm(found[:, None] - positions, axis=2).min(axis=1).max() < 5


@pytest.mark.parametrize(
    ('taps', 'message'),
    [
        ('122,3', '122,3 (column,row) is outside the image of 122x90'),
        ('3', "got '3'"),
        ('3,4,5', "got '3,4,5'"),
        ('3,4.5', "got '3,4.5'"),
    ],
)
def test_bad_pixels_write_nothing(room, tmp_path, capsys, taps, message):
    out = tmp_path / 'out'
    arguments = ['--data', str(room), '--out', str(out), '--device', 'cpu']
    assert run_command('sgnet_core', 'predict', [*arguments, '--taps', taps]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists() or not list(out.iterdir())


def test_networks_without_sconvs_are_refused_before_anything_is_written(room, tmp_path, capsys):
    save_checkpoint(tmp_path / 'plain.safetensors', untrained(spatial='none'))
    out = tmp_path / 'out'
    arguments = ['--data', str(room), '--out', str(out), '--device', 'cpu', '--taps', '3,4']
    checkpoint = ['--checkpoint', str(tmp_path / 'plain.safetensors')]
    assert run_command('sgnet_core', 'predict', [*arguments, *checkpoint]) == 2
    assert 'spatial none' in capsys.readouterr().err
    assert not list(out.iterdir())


def test_taps_steered_by_features_are_drawn(room):
    checkpoint = bent(untrained(spatial='features'))
    segmenter = Segmenter(checkpoint.build(), checkpoint.input_spec, checkpoint.label_set, 'cpu')
    frame = FolderDataset(room)[0].frame
    picture = taps_picture(frame, segmenter.geometry(frame), [(0, 0)])
    blind = replace(frame, depth_m=np.full_like(frame.depth_m, np.nan))
    maps = slice(MARGIN + 2 * HEADER + CELL[0] + GAP, None)
    same = taps_picture(blind, segmenter.geometry(blind), [(0, 0)])
    np.testing.assert_array_equal(picture[maps], same[maps])
