# SPDX-License-Identifier: Apache-2.0
"""Every study runs at a small size; the compared implementations agree."""

import importlib
import json
import sys
from functools import partial

import torch
import ablation
import cv2
import depth_encodings
import evaluation_cost
import gravity_error
import numpy as np
import pytest
import sconv_operator
import study
import training_step
import yaml
from im2col import im2col_deform_conv2d
from planes import CAMERA, room, rotation

from sgnet_core.checkpoint.checkpoint import load_checkpoint
from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.errors import DataError, InputError
from sgnet_core.geometry.gravity import estimate_gravity
from sgnet_core.model import SGNet, SGNetConfig, modulated_deform_conv2d
from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample

TILTS_DEG = [(10.0, 4.0), (16.0, -3.0), (-12.0, 8.0)]


@pytest.fixture
def run_study(tmp_path, monkeypatch):
    """Runs the main function of a study and returns what it writes to --json."""
    for name in study.RETURN_FREED_MEMORY:
        monkeypatch.setenv(name, '')

    def run(name, *options):
        json_file = tmp_path / f'{name}.json'
        arguments = [name, *map(str, options), '--json', str(json_file)]
        monkeypatch.setattr(sys, 'argv', arguments)
        importlib.import_module(name).main()
        return json.loads(json_file.read_text())

    return run


@pytest.mark.parametrize(
    ('name', 'column', 'rows', 'ratio'),
    [
        ('sconv_operator', 'backend', {'sgnet', 'conv2d', 'im2col'}, 'im2col_over_sgnet'),
        ('sconv_network', 'network', {'sgnet_lite0_none'}, 'sgnet_lite0_over_sgnet_lite0_none'),
        ('training_step', 'backend', {'sgnet', 'none', 'im2col'}, 'images_per_s.im2col'),
        ('depth_encodings', 'encoding', {'hha', 'normals'}, 'hha_over_float64'),
        ('evaluation_cost', 'part', {'masks', 'counts', 'evaluation'}, 'evaluation_over_masks'),
    ],
)
def test_a_study_times_and_compares(name, column, rows, ratio, run_study, monkeypatch, capsys):
    monkeypatch.setattr(sconv_operator, 'VARIANT', 'sgnet_lite0')
    monkeypatch.setattr(depth_encodings, 'OTHER_SIZES', ())
    monkeypatch.setattr(depth_encodings, 'FRAMES', (2, 3))
    monkeypatch.setattr(evaluation_cost, 'FRAMES', 1)
    options = ['--device', 'cpu', '--size', '64x96', '--seconds', '0']
    if name in ('sconv_network', 'training_step'):
        options += ['--variant', 'sgnet_lite0']
    values = run_study(name, *options)
    assert rows <= {row[column] for row in values['rows']}
    assert all(row['median_ms'] or row['peak_mb'] for row in values['rows'])
    assert values['ratios'][ratio] > 0
    assert ratio in capsys.readouterr().out


@pytest.mark.parametrize('keep_corners', [True, False])
def test_im2col_and_its_gradients_equal_the_operator(keep_corners):
    torch.manual_seed(2)
    window = {'stride': (2, 1), 'padding': (1, 0), 'dilation': (1, 2)}
    x, weight, bias = torch.randn(3, 4, 7, 9), torch.randn(5, 4, 3, 2), torch.randn(5)
    out = torch.nn.functional.conv2d(x, weight, **window).shape[2:]
    offset = 3 * torch.randn(3, 12, *out)
    offset[0, :2] = 100.0
    tensors = [t.double() for t in (x, offset, torch.rand(3, 6, *out), weight, bias)]
    results = []
    im2col = partial(im2col_deform_conv2d, keep_corners=keep_corners)
    for convolve in (modulated_deform_conv2d, im2col):
        inputs = [t.clone().requires_grad_() for t in tensors]
        y = convolve(*inputs, **window)
        results.append((y, *torch.autograd.grad(y.square().sum(), inputs)))
    # Coordinates are float32 in one of them or in both.
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-3)


def test_all_implementations_of_the_operator_agree():
    window = {'stride': 2, 'padding': 1, 'dilation': 1}
    position = sconv_operator.Position('p', (4, 9, 14), (6, 4, 3, 3), (5, 7), window)
    calls, missing = sconv_operator.calls_at(position, 'cpu')
    assert set(calls) | set(missing) >= {'onnxruntime', 'torchvision', 'triton'}
    plain = calls.pop('conv2d')()
    torch.testing.assert_close(calls.pop('conv2d contiguous')(), plain)
    expected = calls.pop('sgnet')()
    assert expected.shape == plain.shape == (1, 6, 5, 7)
    for call in calls.values():
        y = call()
        y = torch.from_numpy(y[0]) if isinstance(y, list) else y
        torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', ['offsets_only', 'weights_only'])
def test_zeroed_layers_of_s_conv_have_no_effect(name):
    network = SGNet(SGNetConfig('sgnet_lite0'))
    training_step.randomize(network)
    ablation.zero_layer(network, ablation.VARIANTS[name][1])
    with torch.no_grad():
        geometry = network.offsets_and_masks(torch.rand(2, 3, 64, 96), torch.rand(2, 1, 64, 96))
    for offset, mask in geometry.values():
        assert (offset == 0).all() == (name == 'weights_only')
        assert (mask == 0.5).all() == (name == 'offsets_only')


def test_the_ablation_trains_variants_and_keeps_finished_runs(tiny_dataset, tmp_path, run_study):
    config = {'pretrained': False, 'input_size': [32, 64], 'crop_size': [32, 64], 'epochs': 1}
    config |= {'batch_size': 2, 'warmup_epochs': 0.0}
    (tmp_path / 'tiny.yaml').write_text(yaml.safe_dump(config))
    out = tmp_path / 'study'
    options = ['--config', tmp_path / 'tiny.yaml', '--data', tiny_dataset.root, '--out', out]
    options += ['--seeds', 3, '--workers', 0, '--device', 'cpu', '--variants', 'weights_only']
    run_study('ablation', *options)
    trained = load_checkpoint(out / 'weights_only_seed3/best.safetensors')
    assert trained.config.spatial == 'depth'
    offsets = [tensor for name, tensor in trained.weights.items() if 'offset_generator' in name]
    assert offsets and not any(tensor.any() for tensor in offsets)
    before = (out / 'weights_only_seed3/scores.json').stat().st_mtime_ns
    assert set(run_study('ablation', *options, 'none')['variants']) == {'weights_only', 'none'}
    assert (out / 'weights_only_seed3/scores.json').stat().st_mtime_ns == before


@pytest.fixture
def video(tmp_path):
    """Three views of a room from one place, with poses, and the file of their rotations."""
    # Cameras of the toolbox look along y, and z is up.
    axes, rows = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), []
    with FolderWriter(tmp_path / 'video', 'video', CAMERA, with_pose=True) as writer:
        for number, tilt in enumerate(TILTS_DEG, start=1):
            pose = np.eye(4)
            pose[:3, :3] = rotation(*tilt).T
            depth_m = room(*tilt)[0].astype(np.float32)
            frame = RgbdFrame(np.zeros((*CAMERA.size, 3), np.uint8), depth_m, CAMERA)
            writer.write(Sample(str(number), frame, None, pose))
            rows.append(axes @ pose[:3, :3] @ axes.T)
    np.savetxt(tmp_path / 'rotations.txt', np.concatenate(rows))
    return tmp_path


def test_gravity_errors_are_angles_to_known_rotations(video, run_study):
    options = '--data', video / 'video', '--rotations', video / 'rotations.txt'
    found = run_study('gravity_error', *options)
    assert found['frames'] == 3
    assert found['estimate']['largest_deg'] < 1
    assert found['estimate']['share_within_5_deg'] == 1
    tilt_deg = np.degrees([np.arccos(rotation(*tilt)[1, 1]) for tilt in TILTS_DEG])
    assert found['level']['median_deg'] == pytest.approx(np.median(tilt_deg), abs=0.01)
    (video / 'rotations.txt').write_text('1 0 0\n0 1 0\n0 0 1\n')
    with pytest.raises(InputError, match='frame ids must be numbers from 1 to 1'):
        run_study('gravity_error', *options)
    (video / 'rotations.txt').write_text('1 0 0\n0 1 0\n0 0 2\n')
    with pytest.raises(DataError, match='not all of its 1 matrices'):
        run_study('gravity_error', *options)


def test_gravity_is_stable_in_a_static_scene(video, run_study):
    found = run_study('gravity_error', '--data', video / 'video')
    assert found['single']['largest_deg'] < 1
    assert found['tracked']['largest_deg'] < 1


def test_gravity_of_real_frames_is_near_the_published_rotations(research_data):
    """Depth at full precision; the rotations come from the NYUv2 toolbox."""
    down = gravity_error.read_rotations(research_data / 'nyuv2_meta' / 'camera_rotations_NYU.txt')
    camera = CameraIntrinsics(640, 480, 518.858, 519.470, 324.582, 252.736)
    for number in (1, 4):
        path = research_data / 'golden' / 'depth16' / f'nyu000{number}.depth.png'
        depth_m = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000
        cosine = estimate_gravity(depth_m, camera).down @ down[number - 1]
        assert np.degrees(np.arccos(cosine)) < 2
