# SPDX-License-Identifier: Apache-2.0
"""Implausible cameras and depth are found, and those of real sensors are not."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sgnet_core.errors import InputError
from sgnet_core.geometry.plausibility import (
    camera_problems,
    check_camera,
    depth_problems,
    distortion_problems,
    distortion_px,
    registration_problems,
)
from sgnet_core.types import CameraIntrinsics

VGA = CameraIntrinsics(640, 480, 520.0, 521.0, 321.0, 238.0)
SIZES = st.tuples(st.integers(8, 4000), st.integers(8, 4000))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def usual_cameras(draw):
    """Any size, 30 to 120 degrees, the centre off by up to 14 %."""
    (width, height), centre = draw(SIZES), st.floats(0.36, 0.64)
    focal = width * draw(st.floats(0.3, 1.8))
    return CameraIntrinsics(
        *(width, height, focal, focal), draw(centre) * width, draw(centre) * height
    )


@given(usual_cameras())
def test_usual_cameras_of_any_size_are_plausible(camera):
    assert list(camera_problems(check_camera(camera))) == []
    assert list(registration_problems(camera, camera)) == []
    assert list(distortion_problems(camera, 'plumb_bob', [0.0] * 5)) == []


@given(SIZES, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_any_numbers_are_judged(size, fx, fy, cx, cy):
    """Either not a camera, or not a possible one, or with problems in one line."""
    try:
        camera = check_camera(CameraIntrinsics(*size, fx, fy, cx, cy))
    except InputError as error:
        assert '\n' not in str(error)
        return
    assert 1e-3 <= fx / size[0] <= 1e3
    for problem in (*camera_problems(camera), *registration_problems(VGA, camera)):
        assert '\n' not in str(problem)


@pytest.mark.parametrize('size', [(240, 320), (960, 1280), (480, 848), (720, 1280)])
def test_intrinsics_of_another_size_are_found(size):
    other = replace(VGA.resized(*size), width=640, height=480)
    assert 'principal_point' in [problem.check for problem in camera_problems(other)]


@given(
    st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant', 'Brown Conrady', 'ftheta']),
    st.lists(st.floats(), max_size=16),
)
def test_any_coefficients_are_judged(model, coefficients):
    assert len(list(distortion_problems(VGA, model, coefficients))) <= 1


def displaced(camera, model, coefficients):
    """Naive: the corners of the image through OpenCV's camera, in pixels."""
    corners = [(u, v) for u in (0.0, camera.width - 1.0) for v in (0.0, camera.height - 1.0)]
    k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    points = np.array([np.linalg.solve(k, (*corner, 1)) for corner in corners])
    project = cv2.fisheye.projectPoints if model == 'equidistant' else cv2.projectPoints
    points = points[:, None] if model == 'equidistant' else points
    seen, _ = project(points, np.zeros(3), np.zeros(3), k, np.array(coefficients))
    return np.linalg.norm(seen.reshape(-1, 2) - corners, axis=1).max()


@pytest.mark.parametrize(
    ('model', 'coefficients', 'is_strong'),
    [
        ('plumb_bob', [0.03, -0.05, 0.0, 0.0, 0.02], False),
        ('plumb_bob', [-0.3, 0.1, 0.0, 0.0, 0.0], True),
        ('rational_polynomial', [0.9, -2.8, 5e-4, -3e-4, 1.6, 0.78, -2.6, 1.55], True),
        ('equidistant', [0.35, -0.2, 0.05, 0.01], True),
        # A fisheye lens is not a pinhole camera, whatever its coefficients are.
        ('equidistant', [0.0] * 4, True),
        ('Inverse Brown Conrady', [-0.03, 0.04, 1e-4, -6e-4, -0.01], False),
        ('', [-0.3, 0.1], True),
    ],
)
@pytest.mark.parametrize('width', [32, 640])
def test_displacement_of_the_lens(model, coefficients, is_strong, width):
    camera = VGA.resized(width * 3 // 4, width)
    pixels = distortion_px(camera, model, coefficients)
    padded = np.pad(coefficients, (0, max(0, 4 - len(coefficients))))
    assert pixels >= displaced(camera, model, padded) - 1e-6
    found = [p.seen for p in distortion_problems(camera, model, coefficients)]
    assert bool(found) == is_strong == (pixels > 5 * width / 640)
    assert all('px in images of' in seen for seen in found)


def test_unknown_lens_models():
    (problem,) = distortion_problems(VGA, 'ftheta', [0.1, 0.2])
    assert "'ftheta' is unknown" in problem.seen
    assert 'image_proc' in problem.remedy
    assert list(distortion_problems(VGA, 'ftheta', [0.0, 0.0])) == []
    assert list(distortion_problems(VGA, 'equidistant', [])) == []


@pytest.mark.parametrize(
    ('fx', 'cx', 'size', 'is_other'),
    [
        (520.0, 321.0, (640, 480), False),
        (385.0, 321.0, (848, 480), False),  # of another mode
        (521.0, 321.5, (640, 480), False),
        (385.0, 321.0, (640, 480), True),
        (520.0, 328.0, (640, 480), True),
    ],
)
def test_depth_of_another_camera(fx, cx, size, is_other):
    depth = CameraIntrinsics(*size, fx, fx * 521 / 520, cx, (238.5 * size[1] / 480) - 0.5)
    found = list(registration_problems(VGA, depth))
    assert bool(found) == is_other
    assert all('--extrinsics' in problem.remedy for problem in found)


def indoor_mm(median_mm=2500, holes=0.1):
    """Millimetres of a slanted wall with noise, 0 = no measurement."""
    rng = np.random.default_rng(5)
    depth = median_mm * rng.uniform(0.6, 1.5, (48, 64))
    depth[rng.random(depth.shape) < holes] = 0
    return np.rint(depth)


@given(st.integers(600, 5000), st.floats(0.0, 0.95))
def test_depth_of_a_room_is_plausible(median_mm, holes):
    raw = indoor_mm(median_mm, holes)
    assert list(depth_problems(raw, 0.001, 'scale')) == []
    metres = np.where(raw > 0, raw / 1000, np.nan).astype(np.float32)
    assert list(depth_problems(metres, 1.0, 'scale')) == []


@given(
    arrays(np.float32, (3, 4), elements=st.floats(width=32)) | arrays(np.uint16, (3, 4)),
    st.floats(1e-6, 1e3),
)
def test_any_depth_is_judged(raw, scale):
    with np.errstate(all='raise'):
        found = list(depth_problems(raw, scale, 'scale'))
    assert len(found) <= 1
    assert all('\n' not in str(problem) for problem in found)


def rotated(mm):
    """As SUN RGB-D stores it."""
    mm = mm.astype(np.uint16)
    return (mm << 3) | (mm >> 13)


@pytest.mark.parametrize(
    ('raw', 'scale', 'advice'),
    [
        (indoor_mm().astype(np.float32), 1.0, 'set scale to .* 0.001 for millimetres'),
        (indoor_mm() + 0.25, 1.0, 'set scale to .* 0.001 for millimetres'),
        (10 * indoor_mm(), 0.001, '0.0001 for 1/10 mm'),
        (5 * indoor_mm(), 0.001, r'0.0002 for 1/5 mm \(TUM\)'),
        (indoor_mm() // 10, 0.001, '0.01 for centimetres'),
        (indoor_mm() / 1000, 0.001, 'set scale to .* 1 for metres'),
        (indoor_mm() // 1000, 0.001, 'finer than a metre'),
        (rotated(indoor_mm()), 0.001, 'SUN RGB-D .* 0.000125 '),
        (rotated(indoor_mm(700)), 0.001, 'SUN RGB-D .* 0.000125 '),
        (rotated(indoor_mm(6000)), 0.001, r'SUN RGB-D .* \(v >> 3\) \| \(v << 13\)'),
        (rotated(indoor_mm()), 0.0001, 'SUN RGB-D .* 0.000125 '),
        (rotated(indoor_mm()), 0.000125, None),
        (8 * (indoor_mm() // 40) * 5, 0.001, None),  # coarse, in steps of 40 mm
        (np.full((4, 6), 2000), 0.001, None),
        (np.full((4, 6), np.nan), 0.001, None),
        (np.zeros((4, 6)), 0.001, None),
    ],
)
def test_units(raw, scale, advice):
    found = [str(problem) for problem in depth_problems(raw, scale, 'scale')]
    if advice is None:
        assert found == []
    else:
        (text,) = found
        assert re.search(advice, text), text
