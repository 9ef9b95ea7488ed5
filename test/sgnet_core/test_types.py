# SPDX-License-Identifier: Apache-2.0
"""The nouns: intrinsics that move with the pixels, and what a frame or a result refuses."""

import cv2
import numpy as np
import pytest

from sgnet_core.errors import InputError
from sgnet_core.types import CameraIntrinsics, Gravity, RgbdFrame, SegmentationResult

CAMERA = CameraIntrinsics(width=37, height=23, fx=31.5, fy=29.25, cx=17.3, cy=12.9)


def project(camera: CameraIntrinsics, points: np.ndarray) -> np.ndarray:
    """(N, 3) points in front of the camera -> (N, 2) pixel coordinates (u, v)."""
    x, y, z = points.T
    return np.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], -1)


@pytest.fixture
def points() -> np.ndarray:
    rng = np.random.default_rng(11)
    return np.c_[rng.uniform(-2, 2, (50, 2)), rng.uniform(0.3, 8, 50)]


@pytest.mark.parametrize('size', [(23, 37), (46, 74), (11, 50), (1, 1), (240, 320)])
def test_resized_intrinsics_scale_pixel_areas(points, size):
    before, after = project(CAMERA, points), project(CAMERA.resized(*size), points)
    scale = np.array([size[1] / CAMERA.width, size[0] / CAMERA.height])
    np.testing.assert_allclose(after, (before + 0.5) * scale - 0.5, atol=1e-9)


def test_resized_intrinsics_agree_with_opencv():
    """A ramp of column numbers, resized, shows which old column each new pixel sees."""
    columns = np.tile(np.arange(CAMERA.width, dtype=np.float32), (CAMERA.height, 1))
    resized = cv2.resize(columns, (74, 46), interpolation=cv2.INTER_LINEAR)
    camera = CAMERA.resized(46, 74)
    for u in (5, 20, 60):
        ray_x = (u - camera.cx) / camera.fx
        assert resized[10, u] == pytest.approx(ray_x * CAMERA.fx + CAMERA.cx, abs=1e-4)


@pytest.mark.parametrize(
    ('camera', 'sign', 'moved'),
    [
        (CAMERA.cropped(top=4, left=-3, height=15, width=30), (1, 1), (3, -4)),
        (CAMERA.flipped(), (-1, 1), (CAMERA.width - 1, 0)),
    ],
    ids=['cropped', 'flipped'],
)
def test_cropped_and_flipped_intrinsics_move_projections(points, camera, sign, moved):
    after = project(camera, points * (*sign, 1))
    np.testing.assert_allclose(after, project(CAMERA, points) * sign + moved, atol=1e-9)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ((0, 23, 1, 1, 0, 0), 'at least 1x1, got 0x23'),
        ((37, -1, 1, 1, 0, 0), 'at least 1x1, got 37x-1'),
        ((37, 23, 0, 0, 0, 0), 'focal lengths must be positive.*fx=0.*calibrate'),
        ((37, 23, 1, -1, 0, 0), 'focal lengths must be positive.*fy=-1'),
        ((37, 23, 1, 1, float('nan'), 0), 'finite'),
        ((37, 23, float('inf'), 1, 0, 0), 'finite'),
    ],
)
def test_intrinsics_reject_invalid_values(values, message):
    with pytest.raises(InputError, match=message):
        CameraIntrinsics(*values)


U8, U16, I64, F32, F64 = np.uint8, np.uint16, np.int64, np.float32, np.float64


@pytest.mark.parametrize(
    ('rgb', 'depth', 'message'),
    [
        (((23, 37), U8), ((23, 37), F32), r'rgb must be \(H, W, 3\).*\(23, 37\) uint8'),
        (((23, 37, 4), U8), ((23, 37), F32), r'rgb must .*\(23, 37, 4\)'),
        (((23, 37, 3), F32), ((23, 37), F32), 'rgb must .*float32'),
        (((23, 37, 3), U8), ((23, 37), U16), 'depth_m must be .* metres, .*uint16'),
        (((23, 37, 3), U8), ((23, 37, 1), F32), r'depth_m must .*\(23, 37, 1\)'),
        (
            ((23, 37, 3), U8),
            ((18, 30), F32),
            'depth 30x18, .*: not aligned; reg.*align_depth',
        ),
        (((23, 37, 3), U8), ((0, 0), F32), 'depth 0x0, colour 37x23: not aligned; register'),
        (((23, 37, 3), U8), ((11, 18), F32), 'decimated by 2, .*decimation_filter.*align_depth'),
        (((23, 37, 3), U8), ((8, 16), F32), 'decimated by 3, .*decimation_filter'),
        (((22, 37, 3), U8), ((22, 37), F32), 'intrinsics are for 37x23, .* 37x22'),
    ],
)
def test_frame_rejects_mismatched_arrays(rgb, depth, message):
    with pytest.raises(InputError, match=message) as caught:
        RgbdFrame(np.zeros(*rgb), np.zeros(*depth), CAMERA)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('labels', 'confidence', 'message'),
    [
        (((4, 5), I64), ((4, 5), F32), 'labels must .* int64'),
        (((4, 5, 1), U8), ((4, 5), F32), r'labels must .*\(4, 5, 1\)'),
        (((4, 5), U8), ((5, 4), F32), r'confidence must be \(4, 5\) .*\(5, 4\)'),
        (((4, 5), U8), ((4, 5), F64), 'confidence must .* float64'),
    ],
)
def test_result_rejects_mismatched_arrays(labels, confidence, message):
    with pytest.raises(InputError, match=message):
        SegmentationResult(np.zeros(*labels), np.zeros(*confidence), ('a',))


def test_gravity_normalises_and_rejects_invalid_vectors():
    np.testing.assert_allclose(Gravity(np.array([0, 3, 4])).down, [0, 0.6, 0.8])
    for down in ([0.0, 0.0, 0.0], [0.0, np.nan, 1.0], [0.0, np.inf, 1.0], [1.0, 0.0]):
        with pytest.raises(InputError, match='down must be 3 finite numbers'):
            Gravity(np.array(down))
    with pytest.raises(InputError, match='height must be finite, got inf m'):
        Gravity(np.array([0.0, 1.0, 0.0]), np.inf)
