# SPDX-License-Identifier: Apache-2.0
"""The command encode_depth: its files hold the encodings, and it goes on where it stopped."""

import shutil

import torch
import cv2
import numpy as np
import pytest

import sgnet_core.data.encoding_files
from sgnet_core.cli.runner import INTERRUPTED, run_command
from sgnet_core.geometry.gravity import estimate_gravity
from sgnet_core.geometry.hha import ANGLE_RADIUS_PX, encode_hha
from sgnet_core.geometry.normals import surface_normals
from sgnet_core.geometry.point_map import depth_to_xyz
from sgnet_core.types import CameraIntrinsics, Gravity
from sgnet_core.visualization.depth_colors import NO_DEPTH
from sgnet_core.visualization.encodings_figure import encodings_figure, normals_to_rgb, xyz_to_rgb

TILTED = Gravity((0.1, 0.9, 0.3))


def encode(*arguments):
    return run_command('sgnet_core', 'encode_depth', [str(argument) for argument in arguments])


def hha_of(path):
    return cv2.imread(str(path))[..., ::-1]


def camera_text(camera):
    return f'{camera.fx},{camera.fy},{camera.cx},{camera.cy}'


def ways_of_gravity(frame):
    estimated = estimate_gravity(frame.depth_m, frame.intrinsics).down
    return {
        (): None,
        ('--gravity', 'estimate'): None,
        ('--gravity', 'level'): Gravity((0, 1, 0)),
        ('--gravity=0.2,1.8,0.6',): TILTED,
        ('--gravity', 'level', '--camera-height', '1.2'): Gravity((0, 1, 0), 1.2),
        ('--camera-height', '0.7'): Gravity(estimated, 0.7),
    }


@pytest.mark.parametrize('way', range(6))
def test_hha_uses_the_requested_gravity(tiny_dataset, tmp_path, way):
    first = tiny_dataset[0]
    arguments = list(ways_of_gravity(first.frame))[way]
    split = ('--split', 'fit', '--limit', 2)
    assert encode('hha', tiny_dataset.root, '--out', tmp_path / 'out', *split, *arguments) == 0
    names = {'0_hha.png', '1_hha.png', 'hha.json'}
    assert {path.name for path in (tmp_path / 'out').iterdir()} == names
    for sample in (first, tiny_dataset[1]):
        frame = sample.frame
        expected = encode_hha(frame.depth_m, frame.intrinsics, ways_of_gravity(frame)[arguments])
        np.testing.assert_array_equal(hha_of(tmp_path / f'out/{sample.id}_hha.png'), expected)


def test_hha_equals_the_golden_file(research_data, tmp_path):
    golden = research_data / 'golden' / 'hha'
    camera = ('--camera', '518.857901,519.469611,324.582449,252.736166')
    depth = golden / 'nyu0001_depth.png'
    assert encode('hha', depth, '--out', tmp_path, *camera, '--depth-scale', '0.0001') == 0
    ours, theirs = (
        cv2.imread(str(path))
        for path in (tmp_path / 'nyu0001_depth_hha.png', golden / 'nyu0001_hha_matlab.png')
    )
    assert (ours != theirs).sum() == 0


def test_xyz_and_normals_can_be_read_back(tiny_dataset, tmp_path):
    for encoding in ('xyz', 'normals'):
        assert encode(encoding, tiny_dataset.root, '--out', tmp_path / 'out') == 0
    for sample in tiny_dataset:
        depth_m, camera = sample.frame.depth_m, sample.frame.intrinsics
        xyz = np.load(tmp_path / 'out' / f'{sample.id}_xyz.npy', allow_pickle=False)
        assert xyz.dtype == np.float32
        np.testing.assert_array_equal(xyz, np.moveaxis(depth_to_xyz(depth_m, camera), 0, -1))
        rgb = cv2.imread(str(tmp_path / 'out' / f'{sample.id}_normals.png'))[..., ::-1]
        normals = surface_normals(torch.from_numpy(depth_m), camera, ANGLE_RADIUS_PX).numpy()
        some = np.isfinite(depth_m) & np.isfinite(normals).all(axis=0)
        assert 0.5 < some.mean() < 1
        assert (rgb[~some] == 0).all()
        stored = (rgb[some] - 128.0) / 127
        lengths = np.linalg.norm(stored, axis=1)
        cosine = (stored * normals[:, some].T).sum(axis=1) / lengths
        assert np.degrees(np.arccos(np.minimum(cosine, 1))).max() < 0.4


def test_axes_have_the_documented_colours():
    camera = CameraIntrinsics(31, 23, 30.0, 30.0, 15.0, 11.0)
    wall = surface_normals(torch.full((23, 31), 2.0), camera, ANGLE_RADIUS_PX).numpy()
    assert (normals_to_rgb(wall) == (128, 128, 255)).all()
    depth_m = np.full((23, 31), 2.0, np.float32)
    depth_m[4, 5] = np.nan
    depth_m[:, 20] = 2.1
    xyz = xyz_to_rgb(depth_to_xyz(depth_m, camera))
    assert tuple(xyz[4, 5]) == NO_DEPTH
    assert xyz[0, 0].tolist() == [0, 0, 0]
    assert xyz[0, 30].tolist() == [255, 0, 0]
    assert xyz[22, 0].tolist() == [0, 255, 0]
    assert xyz[11, 20, 2] == 255


def test_png_folder_equals_dataset(tiny_dataset, tmp_path):
    camera = ('--camera', camera_text(tiny_dataset.intrinsics))
    depth = tiny_dataset.root / 'depth'
    assert encode('hha', tiny_dataset.root, '--out', tmp_path / 'a') == 0
    assert encode('hha', depth, '--out', tmp_path / 'b', *camera) == 0
    files = sorted(depth.iterdir())
    assert encode('hha', *files[:2], '--out', tmp_path / 'c', *camera) == 0
    assert len(list((tmp_path / 'c').glob('*.png'))) == 2
    for sample_id in tiny_dataset.ids:
        of_data_set, of_files = (hha_of(tmp_path / f'{x}/{sample_id}_hha.png') for x in 'ab')
        # Depth is float32 there, float64 here.
        difference = np.abs(of_data_set.astype(int) - of_files)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01


def test_depth_invalid_values_are_missing(tiny_dataset, tmp_path):
    depth = tiny_dataset.root / 'depth' / '0.png'
    value = int(cv2.imread(str(depth), cv2.IMREAD_UNCHANGED).max())
    camera = ('--camera', camera_text(tiny_dataset.intrinsics))
    invalid = ('--depth-invalid', 0, '--depth-invalid', value)
    assert encode('xyz', depth, '--out', tmp_path / 'out', *camera, *invalid) == 0
    depth_m = np.load(tmp_path / 'out' / '0_xyz.npy')[..., 2]
    missing = np.isnan(tiny_dataset[0].frame.depth_m)
    assert np.isnan(depth_m).sum() > missing.sum()
    assert np.nanmax(depth_m) < value * 0.001


def test_interrupted_command_resumes(tiny_dataset, tmp_path, monkeypatch, capsys):
    out, written = tmp_path / 'out', []
    real = sgnet_core.data.encoding_files.encode_hha

    def stops_at_the_third(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(sgnet_core.data.encoding_files, 'encode_hha', stops_at_the_third)
    assert encode('hha', tiny_dataset.root, '--out', out) == INTERRUPTED
    assert '2 of 5 images; the same command continues' in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {'0_hha.png', '1_hha.png', 'hha.json'}
    (out / '0_hha.png').write_bytes(b'kept')
    monkeypatch.setattr(sgnet_core.data.encoding_files, 'encode_hha', real)
    assert encode('hha', tiny_dataset.root, '--out', out) == 0
    assert '3 images encoded, 2 existed' in capsys.readouterr().out
    assert (out / '0_hha.png').read_bytes() == b'kept'
    assert len(list(out.glob('*_hha.png'))) == 5
    # Nothing is mixed with what other options gave.
    assert encode('hha', tiny_dataset.root, '--out', out, '--gravity', 'level') == 2
    error = capsys.readouterr().err
    assert '"gravity": "estimate"' in error and '"gravity": "level"' in error


def test_sheet_needs_no_colour(tiny_dataset, tmp_path):
    assert encode('sheet', tiny_dataset.root, '--out', tmp_path / 'a', '--limit', 1) == 0
    camera = ('--camera', camera_text(tiny_dataset.intrinsics))
    depth = tiny_dataset.root / 'depth' / '0.png'
    assert encode('sheet', depth, '--out', tmp_path / 'b', *camera) == 0
    with_colour, without = (cv2.imread(str(tmp_path / x / '0_sheet.png')) for x in 'ab')
    assert with_colour.shape == without.shape
    height, width = (side // 3 for side in with_colour.shape[:2])
    assert (without[90 : height - 40, : width - 90] == 255).all(), 'no colour'
    assert (with_colour[90 : height - 40, : width - 90] != 255).mean() > 0.5
    np.testing.assert_array_equal(with_colour[2 * height :], without[2 * height :])

    frame = tiny_dataset[0].frame
    blind = np.full_like(frame.depth_m, np.nan)
    picture = encodings_figure(frame.rgb, blind, frame.intrinsics, TILTED, 'blind')
    assert picture.shape[1] > 1000


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['hha', '{data}', '--limit', '0'], '--limit must be at least 1, got 0'),
        (['hha', '{data}', '--camera', '1,2,3,4'], 'are for PNGs'),
        (['hha', '{data}', '{data}/depth'], 'give one dataset'),
        (['hha', '{data}', '--gravity', 'up'], "estimate, level or X,Y,Z, got 'up'"),
        (['hha', '{data}', '--gravity', '0,0,0'], 'not all zero'),
        (['hha', '{data}', '--camera-height', 'nan'], 'must be finite'),
        (['xyz', '{data}', '--gravity', 'level'], 'do not apply to xyz'),
        (['hha', '{data}/depth'], 'need --camera'),
        (['hha', '{data}/depth', '--camera', '1,2,3'], "got '1,2,3'"),
        (['hha', '{data}/depth', '--camera', '9,9,3,4', '--depth-scale', '0'], 'above 0'),
        (['hha', '{data}/depth', '--camera', '9,9,3,4', '--split', 'fit'], 'for datasets'),
        (['hha', '{data}/pose', '--camera', '9,9,3,4'], 'neither dataset.yaml nor .png'),
        (['hha', '{data}/nosuch', '--camera', '9,9,3,4'], 'no such file'),
        (['hha', '{data}/depth', '{data}/depth', '--camera', '9,9,3,4'], 'a second 0'),
    ],
)
def test_invalid_arguments_are_named(tiny_dataset, tmp_path, capsys, arguments, message):
    arguments = [argument.format(data=tiny_dataset.root) for argument in arguments]
    assert encode(*arguments, '--out', tmp_path / 'out') == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1
    assert not list((tmp_path / 'out').glob('*.png'))


def test_out_must_differ_from_the_depth_folder(tiny_dataset, tmp_path, capsys):
    folder = shutil.copytree(tiny_dataset.root / 'depth', tmp_path / 'depth')
    assert encode('hha', folder, '--camera', '9,9,3,4', '--out', folder) == 2
    assert 'choose another' in capsys.readouterr().err
    assert len(list(folder.iterdir())) == 5
