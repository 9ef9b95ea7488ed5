# SPDX-License-Identifier: Apache-2.0
"""RVL, the lossless depth code of Wilson, "Fast Lossless Depth Image Compression", ISS 2017.

The image is coded row by row as runs: the number of zeros, the number of other values, and these
values as differences to the previous non-zero value (initially 0). Differences are zigzag coded:
0, -1, 1, -2 ... are 0, 1, 2, 3 ... A number consists of digits of three bits, lowest first, in
nibbles; the top bit of a nibble is set if another digit follows. Eight nibbles, the first one
topmost, form a little-endian word of 32 bits.
"""

from __future__ import annotations

import numpy as np

from sgnet_core.errors import InputError

DIGIT_BITS = 3
MAX_DIGITS = 10
"""Digits of a number: more would not fit into 32 bits, and no image needs them."""

MAX_BYTES_PER_PIXEL = 4
"""Two runs of one digit and a difference of six; whatever follows is not decoded."""


def decode_rvl(content: bytes, pixels: int) -> np.ndarray:
    """Decode `content` to (pixels,) uint16; InputError if it is truncated or not RVL."""
    numbers = _numbers(content[: MAX_BYTES_PER_PIXEL * (pixels + 2)])
    heads = _run_heads(numbers, pixels)
    runs = np.stack([numbers[heads], numbers[heads + 1]], axis=1).ravel()
    end = heads[-1] + 2 + runs[-1]
    zigzag = np.delete(numbers[:end], np.concatenate([heads, heads + 1]))
    differences = (zigzag >> 1) ^ -(zigzag & 1)
    values = np.zeros(pixels, np.uint16)
    if differences.size:
        is_value = np.repeat(np.arange(runs.size) % 2 == 1, runs)
        values[is_value] = np.cumsum(differences, dtype=np.uint16)
    return values


def _numbers(content: bytes) -> np.ndarray:
    """All numbers of the code, int32, and up to seven zeros from the padding of the last word."""
    octets = np.frombuffer(content, '<u4', len(content) // 4).byteswap().view(np.uint8)
    nibbles = np.stack([octets >> 4, octets & 15], axis=1).ravel()
    ends = np.flatnonzero(nibbles < 1 << DIGIT_BITS)
    if not ends.size:
        raise InputError(f'not valid RVL data: {len(content)} bytes')
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = nibbles & 7
    # Almost all numbers have one or two digits: decode these without a loop.
    two = digits.copy()
    two[:-1] |= (digits[1:] << DIGIT_BITS) & -(nibbles[:-1] >> DIGIT_BITS)
    numbers = two[starts].astype(np.int32)
    last = ends - starts
    if last.max() >= MAX_DIGITS:
        raise InputError(f'RVL number of {last.max() + 1} digits: damaged, or not RVL data')
    longer = np.flatnonzero(last >= 2)
    for place in range(2, MAX_DIGITS):
        longer = longer[last[longer] >= place]
        digit = digits[starts[longer] + place].astype(np.int32)
        numbers[longer] |= digit << (DIGIT_BITS * place)
    return numbers


def _run_heads(numbers: np.ndarray, pixels: int) -> np.ndarray:
    """Indices of the runs in `numbers`; checks that the runs cover `pixels`."""
    view = memoryview(numbers)
    heads: list[int] = []
    head = covered = 0
    while covered < pixels:
        if head + 1 >= len(view):
            raise InputError(f'the RVL code ends after {covered} of {pixels} pixels')
        run = view[head] + view[head + 1]
        if not run:
            raise InputError(f'empty RVL run after {covered} of {pixels} pixels: damaged')
        heads.append(head)
        covered += run
        head += 2 + view[head + 1]
    if covered > pixels or head > len(view):
        raise InputError(
            f'RVL runs cover {covered} pixels with {len(view)} numbers, the image has {pixels}: '
            'truncated or damaged'
        )
    return np.array(heads)
