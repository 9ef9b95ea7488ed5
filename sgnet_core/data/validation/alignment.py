# SPDX-License-Identifier: Apache-2.0
"""Checks that edges of depth, and of labels, coincide with edges of colour.

If they coincide, the colour gradient under an edge is far above its mean. Edges are laid over the
colour image as stored, mirrored and scaled, each displaced by up to `REACH` pixels, and the mean
gradient under them over many frames is compared. One frame is weak evidence, a hundred are strong:
in NYUv2 depth agrees 0.95 as stored and 0.1 mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from sgnet_core.data.validation.finding import Finding, error, share, warning

Change = str | float
Surfaces = dict[Change, np.ndarray]

WIDTH = 160
"""Approximate width of the compared images; larger images are subsampled by whole factors."""
REACH = 12
TOLERANCE = 2
"""Displacement of real sensors in pixels of the compared images: 8 pixels of 640."""
SCALES = tuple(1.04**k for k in range(-6, 7))
MIRRORED = {
    'mirrored left to right': ((1, -1), 'fliplr(x)'),
    'mirrored top to bottom': ((-1, 1), 'flipud(x)'),
    'rotated by 180 degrees': ((-1, -1), 'rot90(x, 2)'),
}
"""Change -> steps of rows and columns, and the numpy call that undoes it."""
CHANCE = 0.2
"""Above the best agreement of unrelated images: 0.16 at most in NYUv2, Kinect and rooms."""

_MIN_FRAMES, _MIN_EDGES, _MIN_FRAME_EDGES = 6, 1500, 30
_DEPTH_JUMP = 0.06
_REMEDIES = {
    'depth': 'register depth to colour (RealSense align_depth.enable:=true, OpenNI '
    'depth_registration:=true) with the calibration of this camera',
    'labels': 'make the label images from the stored colour images, without cropping or scaling',
}


@dataclass(frozen=True)
class Fit:
    """Agreement of edges with colour after a change and a displacement in compared pixels.

    Attributes:
        change: a key of `MIRRORED`, or a scale; 1.0 is as stored.
        agreement: standard deviations above the mean colour gradient; 0 is chance.
    """

    change: Change
    down: int
    right: int
    agreement: float


class EdgeAgreement:
    """Sums, frame by frame, the agreement of depth or label edges with colour edges."""

    MAX_FRAMES = 200
    """More frames do not change the result, and comparing takes longer than reading."""

    def __init__(self, what: str) -> None:
        """`what` is `depth` or `labels`."""
        self.what = what
        self.frames = 0
        self._edges = 0
        self._width = WIDTH
        # By size of the compared images, for even and for odd frames: both must agree.
        self._sums: tuple[dict[tuple[int, int], Surfaces], ...] = ({}, {})

    def add(self, rgb: np.ndarray, edges: np.ndarray) -> None:
        """Add a frame, unless there are enough or it has too few edges, (H, W) bool."""
        step = max(1, round(rgb.shape[1] / WIDTH))
        edges = _subsampled(edges, step)
        border = max(2, round(0.03 * edges.shape[1]))  # where colour was warped or in-filled
        edges[:border] = edges[-border:] = edges[:, :border] = edges[:, -border:] = False
        count = np.count_nonzero(edges)
        too_small = min(edges.shape) <= 2 * REACH
        if self.frames >= self.MAX_FRAMES or count < _MIN_FRAME_EDGES or too_small:
            return
        gradient = np.fft.rfft2(_colour_gradient(rgb, step))
        sums = self._sums[self.frames % 2].setdefault(edges.shape, {})
        for change in (*SCALES, *MIRRORED):
            changed = _changed(edges, change)
            # The correlation theorem: one product compares all displacements.
            product = np.conj(np.fft.rfft2(changed)) * gradient / max(1.0, changed.sum())
            sums[change] = sums.get(change, 0) + product
        self.frames += 1
        self._edges += count
        self._width = edges.shape[1]

    def fits(self) -> tuple[Fit, Fit] | None:
        """As stored (within `TOLERANCE`), and the best change; None without enough edges."""
        if self.frames < _MIN_FRAMES or self._edges < _MIN_EDGES:
            return None
        first, second = _surfaces(self._sums[0]), _surfaces(self._sums[1])
        both = {change: (first[change] + second[change]) / self.frames for change in first}
        near = np.s_[REACH - TOLERANCE : REACH + TOLERANCE + 1]
        stored, best = _best({1.0: both[1.0][near, near]}), _best(both)
        halves = _best(first), _best(second)
        # Halves that disagree: chance, not the camera, decides between the displacements.
        return stored, best if all(_agree(half, best) for half in halves) else stored

    def findings(self) -> Iterator[Finding]:
        """Problems of the alignment of the two."""
        if (fits := self.fits()) is None:
            return
        what, (stored, best) = self.what, fits
        near = best.change == 1.0 and max(abs(best.down), abs(best.right)) <= TOLERANCE
        agree = f'edges agree {best.agreement:.2f}'
        compared = f'{stored.agreement:.2f} as stored, over {self.frames} frames'
        if max(stored.agreement, best.agreement) < CHANCE:
            yield error(
                f'{what}_unrelated',
                f'edges of {what} coincide with edges of colour only by chance (agreement '
                f'{stored.agreement:.2f} over {self.frames} frames, usually 0.5 or more)',
                f'check that colour and {what} with one id are from the same moment and camera, '
                'and registered; the contact sheet shows the edges on colour',
            )
        elif best.agreement < 1.25 * stored.agreement or near:
            return
        elif best.change in MIRRORED:
            yield error(
                f'{what}_mirrored',
                f'the {what} images are {best.change} relative to colour: {agree} if this is '
                f'undone, {compared}',
                f'apply numpy.{MIRRORED[best.change][1]} to the {what} images, or to the colour '
                'images if writing in them is mirrored',
            )
        else:
            yield warning(
                f'{what}_displaced',
                f'the {what} images are not aligned with colour: {agree} if '
                f'{self._displacement(best)}, {compared}',
                f'{_REMEDIES[what]}; the contact sheet shows the edges on colour',
            )

    def _displacement(self, best: Fit) -> str:
        changes = [] if best.change == 1.0 else [f'scaled by {best.change:.2f} about the centre']
        for pixels, ways in ((best.right, ('left', 'right')), (best.down, ('up', 'down'))):
            if pixels:
                part = share(abs(pixels), self._width)
                changes.append(f'moved {ways[pixels > 0]} by {part} of the width')
        return ' and '.join(changes)


def depth_edges(depth_m: np.ndarray) -> np.ndarray:
    """(H, W) bool: depth differs by more than 6 % from the pixel above or to the left.

    There is no edge next to NaN, a missing measurement.
    """
    edges = np.zeros(depth_m.shape, bool)
    for here, before in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        nearer = np.minimum(depth_m[here], depth_m[before])
        edges[here] |= np.abs(depth_m[here] - depth_m[before]) > _DEPTH_JUMP * nearer
    return edges


def label_edges(labels: np.ndarray) -> np.ndarray:
    """(H, W) bool: the label differs from that of the pixel above or to the left."""
    edges = np.zeros(labels.shape, bool)
    edges[1:] |= labels[1:] != labels[:-1]
    edges[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    return edges


def _subsampled(edges: np.ndarray, step: int) -> np.ndarray:
    """One pixel for each `step` x `step` block: an edge if the block has one."""
    padded = np.pad(edges, [(0, -side % step) for side in edges.shape])
    rows, columns = (side // step for side in padded.shape)
    return padded.reshape(rows, step, columns, step).any((1, 3))


def _colour_gradient(rgb: np.ndarray, step: int) -> np.ndarray:
    """The largest gradient of the three channels, clipped, with mean 0 and deviation 1."""
    smooth = cv2.blur(rgb, (step + 1, step + 1))[::step, ::step].astype(np.float32)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    gradient = cv2.magnitude(across, down).max(-1)
    # Clipped, so that a lamp does not outweigh a hundred chairs.
    gradient = np.minimum(gradient, np.quantile(gradient, 0.85))
    return (gradient - gradient.mean()) / max(float(gradient.std()), 1e-6)


def _changed(edges: np.ndarray, change: Change) -> np.ndarray:
    if isinstance(change, str):
        (rows, columns), _ = MIRRORED[change]
        return edges[::rows, ::columns]
    middle = (np.array(edges.shape) - 1) / 2
    where = np.rint((np.argwhere(edges) - middle) * change + middle).astype(int)
    where = where[((where >= 0) & (where < edges.shape)).all(1)]
    scaled = np.zeros_like(edges)
    scaled[tuple(where.T)] = True
    return scaled


def _surfaces(sums: dict[tuple[int, int], Surfaces]) -> Surfaces:
    """The sum of the agreement of every change at every displacement within reach."""
    surfaces: Surfaces = {}
    for size, of_size in sums.items():
        for change, total in of_size.items():
            plane = np.roll(np.fft.irfft2(total, s=size), (REACH, REACH), (0, 1))
            window = plane[: 2 * REACH + 1, : 2 * REACH + 1]
            surfaces[change] = surfaces.get(change, 0) + window
    return surfaces


def _best(surfaces: Surfaces) -> Fit:
    change, plane = max(surfaces.items(), key=lambda entry: entry[1].max())
    down, right = np.unravel_index(plane.argmax(), plane.shape)
    reach = plane.shape[0] // 2
    return Fit(change, int(down) - reach, int(right) - reach, float(plane.max()))


def _agree(one: Fit, other: Fit) -> bool:
    same_change = one.change == other.change
    if not same_change and str not in map(type, (one.change, other.change)):
        same_change = abs(one.change / other.change - 1) < 0.05
    apart = max(abs(one.down - other.down), abs(one.right - other.right))
    return same_change and apart <= TOLERANCE
