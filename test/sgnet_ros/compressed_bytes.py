# SPDX-License-Identifier: Apache-2.0
"""What the plug-ins of image_transport send, written byte by byte from the formats."""

import struct
import zlib

import numpy as np

PNG_START = b'\x89PNG\r\n\x1a\n'
PNG_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


def png(pixels):
    """A PNG of (H, W) or (H, W, C) uint8 or uint16, channels R G B A; rows are not filtered."""
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    height, width, channels = pixels.shape
    bits = 8 * pixels.itemsize
    rows = b''.join(b'\0' + row.astype(pixels.dtype.newbyteorder('>')).tobytes() for row in pixels)
    header = struct.pack('>IIBBBBB', width, height, bits, PNG_COLOUR_TYPES[channels], 0, 0, 0)
    chunks = {b'IHDR': header, b'IDAT': zlib.compress(rows), b'IEND': b''}
    data = PNG_START
    for kind, content in chunks.items():
        checksum = zlib.crc32(kind + content)
        data += struct.pack('>I', len(content)) + kind + content + struct.pack('>I', checksum)
    return data


def rvl(values):
    """RVL code of (H, W) uint16, number by number and nibble by nibble."""
    flat, at, previous, nibbles = values.ravel().tolist(), 0, 0, []
    while at < len(flat):
        for is_run in (lambda value: value == 0, lambda value: value != 0):
            run = []
            while at < len(flat) and is_run(flat[at]):
                run.append(flat[at])
                at += 1
            nibbles += digits(len(run))
            for value in run if run and run[0] else ():
                difference = value - previous
                nibbles += digits(2 * difference if difference >= 0 else -2 * difference - 1)
                previous = value
    nibbles += [0] * (-len(nibbles) % 8)
    words = (nibbles[i : i + 8] for i in range(0, len(nibbles), 8))
    return b''.join(
        struct.pack('<I', sum(nibble << (28 - 4 * i) for i, nibble in enumerate(word)))
        for word in words
    )


def digits(number):
    """A number in octal, the lowest digit first, 8 added to all but the last."""
    octal = [int(digit) for digit in reversed(f'{number:o}')]
    return [digit + 8 for digit in octal[:-1]] + octal[-1:]


def compressed_depth(values, codec, quantisation=(7.5e-41, float('nan'))):
    """Data of a compressedDepth message of (H, W) uint16.

    The two floats of its header are whatever was in memory, but for 32FC1.
    """
    header = struct.pack('<iff', 0, *quantisation)
    if codec == 'png':
        return header + png(values)
    return header + struct.pack('<II', values.shape[1], values.shape[0]) + rvl(values)


def holed_depth(shape, seed, holes=0.3):
    """(H, W) uint16 millimetres of a slope with noise, some of them 0."""
    rng = np.random.default_rng(seed)
    height, width = shape
    slope = np.add.outer(np.arange(height) * 40, np.arange(width) * 7) + 500
    depth = (slope + rng.integers(-300, 300, shape)).astype(np.uint16)
    depth[rng.random(shape) < holes] = 0
    return depth
