# SPDX-License-Identifier: Apache-2.0
"""RVL, the lossless depth code of Wilson, "Fast Lossless Depth Image Compression", ISS 2017.

The image, row by row, is runs: how many zeros, how many others, and those as differences to the
one before (of the runs before as well, 0 at the start), zigzag coded (0, -1, 1, -2 ... are 0, 1,
2, 3 ...). A number is digits of three bits, the lowest first, in nibbles whose top bit says that
another follows. Eight nibbles, the first one topmost, are a little-endian word of 32 bits.
"""

from __future__ import annotations

import numpy as np

from sgnet_core.errors import InputError

DIGIT_BITS = 3
MOST_DIGITS = 10
"""Of a number: more would not fit into 32 bits, and no image needs them."""


def decode_rvl(content: bytes, pixels: int) -> np.ndarray:
    """(pixels,) uint16, the values that `content` codes.

    Raises:
        InputError: the content ends early, or is not such a code.
    """
    numbers = _numbers(content)
    heads = _run_heads(numbers, pixels)
    zeros, others = numbers[heads], numbers[heads + 1]
    end = heads[-1] + 2 + others[-1]
    is_difference = np.ones(end, bool)
    is_difference[heads] = is_difference[heads + 1] = False
    zigzag = numbers[:end][is_difference]
    runs = np.stack([zeros, others], axis=1).ravel()
    values = np.zeros(pixels, np.uint16)
    values[np.repeat(np.arange(runs.size) % 2 == 1, runs)] = np.cumsum(
        (zigzag >> 1) ^ -(zigzag & 1), dtype=np.uint16
    )
    return values


def _numbers(content: bytes) -> np.ndarray:
    """Every number of the code, int32, and up to seven zeros where the last word is filled up."""
    octets = np.frombuffer(content, '<u4', len(content) // 4).byteswap().view(np.uint8)
    nibbles = np.stack([octets >> 4, octets & 15], axis=1).ravel()
    ends = np.flatnonzero(nibbles < 1 << DIGIT_BITS)
    if not ends.size:
        raise InputError(f'{len(content)} bytes are no RVL code')
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = nibbles & 7
    # Almost all have one digit or two: these at once, without asking which.
    two = digits.copy()
    two[:-1] |= (digits[1:] << DIGIT_BITS) & -(nibbles[:-1] >> DIGIT_BITS)
    numbers = two[starts].astype(np.int32)
    last = ends - starts
    if last.max() >= MOST_DIGITS:
        raise InputError(f'a number of {last.max() + 1} digits: damaged, or no RVL code')
    longer = np.flatnonzero(last >= 2)
    for place in range(2, MOST_DIGITS):
        longer = longer[last[longer] >= place]
        digit = digits[starts[longer] + place].astype(np.int32)
        numbers[longer] |= digit << (DIGIT_BITS * place)
    return numbers


def _run_heads(numbers: np.ndarray, pixels: int) -> np.ndarray:
    """Where in `numbers` each run begins; the runs are checked to be `pixels` long together."""
    view = memoryview(numbers)
    heads: list[int] = []
    head = covered = 0
    while covered < pixels:
        if head + 1 >= len(view):
            raise InputError(f'the RVL code ends after {covered} of {pixels} pixels')
        run = view[head] + view[head + 1]
        if not run:
            raise InputError(f'an RVL run of no pixel after {covered} of {pixels}: damaged')
        heads.append(head)
        covered += run
        head += 2 + view[head + 1]
    if covered > pixels or head > len(view):
        raise InputError(
            f'RVL runs of {covered} pixels with {len(view)} numbers, of an image of {pixels}: '
            'cut off or damaged'
        )
    return np.array(heads)
