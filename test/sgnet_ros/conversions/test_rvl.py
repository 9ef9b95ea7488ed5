# SPDX-License-Identifier: Apache-2.0
"""RVL against an encoder written from the format; invalid bytes are rejected."""

import numpy as np
import pytest
from compressed_bytes import holed_depth, rvl

from sgnet_core.errors import InputError
from sgnet_ros.conversions.rvl import decode_rvl

IMAGES = {
    'some missing': holed_depth((37, 53), seed=1),
    'complete': holed_depth((8, 5), seed=2, holes=0.0),
    'sparse': holed_depth((31, 7), seed=3, holes=0.97),
    'empty': np.zeros((240, 320), np.uint16),
    'one value': np.array([[7]], np.uint16),
    'one missing': np.array([[0]], np.uint16),
    'ends with missing': np.array([[5, 6, 0]], np.uint16),
    'every jump': np.array([[65535, 1, 65535, 0, 1, 32768, 0, 0, 65535]], np.uint16),
    'noise': np.random.default_rng(4).integers(0, 65536, (29, 31)).astype(np.uint16),
}


@pytest.mark.parametrize('name', IMAGES)
def test_decodes_the_reference_encoder(name):
    image = IMAGES[name]
    values = decode_rvl(rvl(image), image.size)
    assert values.dtype == np.uint16
    np.testing.assert_array_equal(values.reshape(image.shape), image)


def test_decodes_handmade_bytes():
    """0 zeros, 3 others: +10 (20 = 0o24), -1 (1), +0 (0); then 2 zeros, 0 others."""
    nibbles = [0, 3, 4 + 8, 2, 1, 0, 2, 0]
    word = sum(nibble << (28 - 4 * i) for i, nibble in enumerate(nibbles))
    assert decode_rvl(word.to_bytes(4, 'little'), 5).tolist() == [10, 9, 9, 0, 0]


@pytest.mark.parametrize('name', ['complete', 'sparse', 'ends with missing'])
def test_truncated_code_is_rejected(name):
    code, pixels = rvl(IMAGES[name]), IMAGES[name].size
    for length in range(len(code)):
        with pytest.raises(InputError, match='RVL'):
            decode_rvl(code[:length], pixels)


@pytest.mark.parametrize('pixels', [1, 1962, 10**9])
def test_code_of_another_size_is_rejected(pixels):
    with pytest.raises(InputError, match='pixels'):
        decode_rvl(rvl(IMAGES['some missing']), pixels)


def test_damaged_code_decodes_or_raises_input_error():
    code = rvl(IMAGES['some missing'])
    pixels = IMAGES['some missing'].size
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(100):
        damaged = np.frombuffer(code, np.uint8).copy()
        damaged[rng.integers(0, len(code), rng.integers(1, 9))] = rng.integers(0, 256)
        try:
            assert decode_rvl(damaged.tobytes(), pixels).shape == (pixels,)
        except InputError:
            rejected += 1
    assert rejected > 30


@pytest.mark.parametrize('octet', [0x00, 0x77, 0x88, 0xFF])
def test_equal_bytes_are_rejected(octet):
    with pytest.raises(InputError):
        decode_rvl(bytes([octet]) * 4096, 640 * 480)
