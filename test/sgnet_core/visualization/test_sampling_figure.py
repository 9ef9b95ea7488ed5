# SPDX-License-Identifier: Apache-2.0
"""The figure of sampling locations."""

from dataclasses import replace

import torch  # noqa: F401  before cv2
import numpy as np
import pytest
from networks import untrained, with_offsets

from sgnet_core.cli.runner import run_command
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.io.images import read_rgb
from sgnet_core.types import CameraIntrinsics, RgbdFrame
from sgnet_core.visualization.sampling_figure import movement_range, sampling_figure
from sgnet_core.visualization.sampling_locations import SamplingLocations

SIZE = (90, 122)


def grey_frame(depth_m=2.0, size=SIZE):
    camera = CameraIntrinsics(size[1], size[0], 100.0, 100.0, 60.0, 45.0)
    return RgbdFrame(np.full((*size, 3), 128, np.uint8), np.full(size, depth_m, np.float32), camera)


def layer(offset=0.0, name='head.mixers.0', weight=0.5, size=SIZE):
    offsets = np.full((18, 8, 12), offset, np.float32)
    mask = np.full((9, 8, 12), weight, np.float32)
    return SamplingLocations(name, offsets, mask, 1, 1, 1, (64, 96), size)


@pytest.fixture
def figures(monkeypatch):
    """The matplotlib figures that are rendered, in order."""
    rendered = []

    def render(figure):
        rendered.append(figure)
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr('sgnet_core.visualization.sampling_figure.render', render)
    return rendered


def dots(ax):
    """Positions (K, 2) and areas (K,) of the first scatter of an image's axes."""
    return ax.collections[0].get_offsets(), ax.collections[0].get_sizes()


def test_dots_have_the_position_and_weight_of_samples(figures):
    for weight in (0.25, 1.0, np.nan):
        sampling_figure(grey_frame(), [layer(weight=weight)], [(70, 30)])
    expected = layer().positions_at(70, 30)
    areas = []
    for figure in figures:
        for ax in figure.axes[:2]:
            np.testing.assert_allclose(dots(ax)[0], expected)
        areas.append(dots(figure.axes[1])[1][0])
        assert not figure.axes[2].collections, 'depth'
    assert areas[1] == 4 * areas[0]
    assert 0 < areas[2] < areas[0], 'NaN counts as 0'


def test_layers_share_one_scale(figures):
    layers = [layer(0.1 * i, f'backbone.layer{i // 3}.{i % 3}.conv2') for i in range(5)]
    sampling_figure(grey_frame(), layers, [(70, 30), (0, 0)], 'title', 'caption')
    (figure,) = figures
    assert figure.get_suptitle() == 'title\ncaption'
    maps = figure.axes[6:11]
    assert [ax.get_title(loc='left').split(',')[0] for ax in maps] == [x.short_name for x in layers]
    assert len({ax.images[0].norm for ax in maps}) == 1
    for ax, expected in zip(maps, layers, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), expected.movement())


@pytest.mark.parametrize('offset', [0.0, np.nan, np.inf, -1e30, 1e9])
def test_extreme_offsets_are_drawn(offset):
    picture = sampling_figure(grey_frame(), [layer(offset), layer(0.5)], [(121, 89)])
    assert picture.dtype == np.uint8
    assert picture.shape[1] > 1000


@pytest.mark.parametrize('size', [(12, 16), (1, 1), (7, 200)])
def test_tiny_frames_without_depth_are_drawn(size):
    height, width = size
    pixels = [(0, 0), (width - 1, height - 1)]
    layers = [layer(offset, size=size) for offset in (0.0, -0.7, 5.0)]
    picture = sampling_figure(grey_frame(np.nan, size), layers, pixels, '$_{ 階 größe')
    assert picture.shape[1] > 1000


@pytest.mark.parametrize('low', [0.0, 0.013, 70.0])
@pytest.mark.parametrize('ratio', [1.0, 40.0, 1e6])
def test_movement_range_is_at_most_two_decades(low, ratio):
    values = np.array([[low, low * ratio]], np.float32)
    start, end = movement_range([values, np.full((2, 3), np.nan)])
    assert 0 < start < end <= 101 * start


# --- predict --sampling-points


@pytest.mark.parametrize('option', ['--sampling-points', '--taps'])
def test_predict_draws_sampling_points(tiny_dataset, tmp_path, capsys, option):
    pixel, out = (20, 13), tmp_path / 'out'
    arguments = ['--data', str(tiny_dataset.root), '--out', str(out), '--limit', '1']
    arguments += ['--device', 'cpu', option, '20,13']
    assert run_command('sgnet_core', 'predict', arguments) == 0
    warned = '--taps is deprecated; use --sampling-points' in capsys.readouterr().err
    assert warned == (option == '--taps')
    sample = tiny_dataset[0]
    names = {f'{sample.id}_{kind}.png' for kind in ('mask', 'overlay', 'sampling')}
    assert {path.name for path in out.iterdir()} == names
    segmenter = Segmenter.from_checkpoint(device='cpu', backend='torch')
    layers = segmenter.sampling(sample.frame)
    title = f'Where S-Conv samples: {sample.id}'
    expected = sampling_figure(sample.frame, layers, [pixel], title, segmenter.description)
    np.testing.assert_array_equal(read_rgb(out / f'{sample.id}_sampling.png'), expected)


@pytest.mark.parametrize(
    ('pixel', 'message'),
    [
        ('36,3', '36,3 (column,row) is outside the image of 36x24'),
        ('3', "got '3'"),
        ('3,4,5', "got '3,4,5'"),
        ('3,4.5', "got '3,4.5'"),
    ],
)
def test_invalid_pixels_write_nothing(tiny_dataset, tmp_path, capsys, pixel, message):
    out = tmp_path / 'out'
    arguments = ['--data', str(tiny_dataset.root), '--out', str(out), '--device', 'cpu']
    assert run_command('sgnet_core', 'predict', [*arguments, '--sampling-points', pixel]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists() or not list(out.iterdir())


def test_features_network_needs_no_depth(tiny_samples, figures):
    checkpoint = with_offsets(untrained(spatial='features'))
    segmenter = Segmenter(checkpoint.build(), checkpoint.input_spec, checkpoint.label_set, 'cpu')
    frame = tiny_samples[0].frame
    blind = replace(frame, depth_m=np.full_like(frame.depth_m, np.nan))
    for seen in (frame, blind):
        sampling_figure(seen, segmenter.sampling(seen), [(0, 0)])
    maps = [[ax.images[0].get_array() for ax in figure.axes[3:6]] for figure in figures]
    np.testing.assert_array_equal(*(np.concatenate([m.ravel() for m in x]) for x in maps))
