# SPDX-License-Identifier: Apache-2.0
"""Every encoding, row padding and byte order of raw images, over real DDS to the network."""

import struct

import numpy as np
from fake_node import FakeSegmenter
from ros_harness import SECOND, T0, image

WIDTH, HEIGHT = 6, 4
R, G, B = 200, 120, 30
COLOUR = {
    'rgb8': bytes([R, G, B]) * WIDTH,
    'bgr8': bytes([B, G, R]) * WIDTH,
    'rgba8': bytes([R, G, B, 9]) * WIDTH,
    'bgra8': bytes([B, G, R, 9]) * WIDTH,
    'mono8': bytes([G]) * WIDTH,
    'yuv422': bytes([128, G]) * WIDTH,
    'yuv422_yuy2': bytes([G, 128]) * WIDTH,
}
"""Encoding -> one row of a wall of one colour."""
BAYER = ('rggb', 'bggr', 'gbrg', 'grbg')
SHADE = round(1.164 * (G - 16))
"""What grey of luma G is in RGB (ITU-R BT.601)."""
EXPECTED = dict.fromkeys(('rgb8', 'bgr8', 'rgba8', 'bgra8'), (R, G, B))
EXPECTED |= {'mono8': (G, G, G), 'yuv422': (SHADE,) * 3, 'yuv422_yuy2': (SHADE,) * 3}
EXPECTED |= {f'bayer_{pattern}8': (R, G, B) for pattern in BAYER}
DEPTH = (('16UC1', 'H', 1500), ('mono16', 'H', 1500), ('32FC1', 'f', 1.5))
"""Encoding, code of struct, and 1.5 m."""


def mosaic(pattern):
    value = {'r': R, 'g': G, 'b': B}
    at = [(v, u) for v in range(HEIGHT) for u in range(WIDTH)]
    return bytes(value[pattern[2 * (v % 2) + u % 2]] for v, u in at)


def padded(rows, padding):
    """Rows of an image, `padding` bytes of rubbish after each."""
    size = len(rows) // HEIGHT
    return b''.join(rows[v * size : (v + 1) * size] + b'\xee' * padding for v in range(HEIGHT))


def colour_images():
    rows = {encoding: row * HEIGHT for encoding, row in COLOUR.items()}
    rows |= {f'bayer_{pattern}8': mosaic(pattern) for pattern in BAYER}
    for padding, (encoding, data) in enumerate(rows.items()):
        yield image(encoding, padded(data, padding), WIDTH, HEIGHT)


def depth_images():
    for encoding, code, value in DEPTH:
        for big, order in enumerate('<>'):
            for padding in (0, 3):
                # The first pixel is no measurement.
                rows = struct.pack(f'{order}{WIDTH * HEIGHT}{code}', 0, *[value] * 23)
                message = image(encoding, padded(rows, padding), WIDTH, HEIGHT)
                message.is_bigendian = big
                yield message


def test_every_encoding_reaches_the_network(ros):
    segmenter = FakeSegmenter()
    node, camera = ros.node_and_camera(segmenter)
    colours, depths = list(colour_images()), list(depth_images())
    for index in range(max(len(colours), len(depths))):
        colour, depth = colours[index % len(colours)], depths[index % len(depths)]
        camera.send(T0 + index * SECOND, rgb=colour, depth=depth)
        ros.spin_until(lambda n=index: len(segmenter.frames) > n, f'{colour.encoding} arrives')
        frame = segmenter.frames[index]
        wall = np.broadcast_to(EXPECTED[colour.encoding], (HEIGHT, WIDTH, 3))
        np.testing.assert_allclose(frame.rgb, wall, atol=1, err_msg=colour.encoding)
        distance = np.full((HEIGHT, WIDTH), 1.5)
        distance[0, 0] = np.nan
        np.testing.assert_allclose(frame.depth_m, distance, rtol=1e-6, err_msg=depth.encoding)
    assert node.counters.counts().dropped == {}
