# SPDX-License-Identifier: Apache-2.0
"""RVL against an encoder written from the format, and bytes that are none."""

import numpy as np
import pytest
from compressed_bytes import holed_depth, rvl

from sgnet_core.errors import InputError
from sgnet_ros.conversions.rvl import decode_rvl

IMAGES = {
    'holes': holed_depth((37, 53), seed=1),
    'no hole': holed_depth((8, 5), seed=2, holes=0.0),
    'mostly holes': holed_depth((31, 7), seed=3, holes=0.97),
    'nothing': np.zeros((240, 320), np.uint16),
    'one value': np.array([[7]], np.uint16),
    'one hole': np.array([[0]], np.uint16),
    'ends with a hole': np.array([[5, 6, 0]], np.uint16),
    'every jump': np.array([[65535, 1, 65535, 0, 1, 32768, 0, 0, 65535]], np.uint16),
    'noise': np.random.default_rng(4).integers(0, 65536, (29, 31)).astype(np.uint16),
}


@pytest.mark.parametrize('name', IMAGES)
def test_decodes_what_the_naive_twin_encodes(name):
    image = IMAGES[name]
    values = decode_rvl(rvl(image), image.size)
    assert values.dtype == np.uint16
    np.testing.assert_array_equal(values.reshape(image.shape), image)


def test_decodes_by_hand():
    """0 zeros, 3 others: +10 (20 = 0o24), -1 (1), +0 (0); then 2 zeros, 0 others."""
    nibbles = [0, 3, 4 + 8, 2, 1, 0, 2, 0]
    word = sum(nibble << (28 - 4 * i) for i, nibble in enumerate(nibbles))
    assert decode_rvl(word.to_bytes(4, 'little'), 5).tolist() == [10, 9, 9, 0, 0]


def test_decodes_a_kinects_depth(research_data):
    from sgnet_core.io.images import read_stored

    raw = read_stored(research_data / 'kinect_sequence' / 'frame-000100.depth.png')[200:240]
    depth = np.where(raw == 65535, 0, raw).astype(np.uint16)
    assert 0.02 < (depth == 0).mean() < 0.9
    np.testing.assert_array_equal(decode_rvl(rvl(depth), depth.size), depth.ravel())


@pytest.mark.parametrize('name', ['no hole', 'mostly holes', 'ends with a hole'])
def test_every_shorter_code_is_refused(name):
    code, pixels = rvl(IMAGES[name]), IMAGES[name].size
    for length in range(len(code)):
        with pytest.raises(InputError, match='RVL'):
            decode_rvl(code[:length], pixels)


@pytest.mark.parametrize('pixels', [1, 1962, 10**9])
def test_a_code_of_another_size_is_refused(pixels):
    with pytest.raises(InputError, match='of pixels|after 1961 of|pixels with'):
        decode_rvl(rvl(IMAGES['holes']), pixels)


def test_damage_never_does_more_than_raise():
    code = rvl(IMAGES['holes'])
    pixels = IMAGES['holes'].size
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        damaged = np.frombuffer(code, np.uint8).copy()
        damaged[rng.integers(0, len(code), rng.integers(1, 9))] = rng.integers(0, 256)
        try:
            assert decode_rvl(damaged.tobytes(), pixels).shape == (pixels,)
        except InputError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize('octet', [0x00, 0x77, 0x88, 0xFF])
def test_a_code_of_equal_bytes_is_refused(octet):
    with pytest.raises(InputError):
        decode_rvl(bytes([octet]) * 4096, 640 * 480)
