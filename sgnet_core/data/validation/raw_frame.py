# SPDX-License-Identifier: Apache-2.0
"""Reads frames as they are stored, whatever is wrong with them, and says what is."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sgnet_core.data.dataset_yaml import DATASET_FILE, DatasetFile, read_text
from sgnet_core.data.folder import read_pose
from sgnet_core.data.image_files import kind_of_image, read_rgb, read_stored
from sgnet_core.data.intrinsics_file import intrinsics_from_text
from sgnet_core.data.validation.finding import Finding, counted, error, few, warning
from sgnet_core.errors import InputError
from sgnet_core.types import CameraIntrinsics

_JPEG = b'\xff\xd8'
_LATE_FRAMES = 3
_ALLOWED = {'depth': (np.uint16,), 'label': (np.uint8, np.uint16)}


@dataclass(frozen=True)
class StoredFrame:
    """One frame before any unit or offset is applied; None for what is missing or no such thing.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth: (H, W) uint16.
        labels: (H, W) uint8 or uint16.
    """

    id: str
    rgb: np.ndarray | None = None
    depth: np.ndarray | None = None
    labels: np.ndarray | None = None

    @property
    def is_blank(self) -> bool:
        """Whether nothing of it could be read."""
        return self.rgb is None and self.depth is None and self.labels is None

    @property
    def is_aligned(self) -> bool:
        """Whether everything that is there has one size, colour and something else among it."""
        sizes = [x.shape[:2] for x in (self.rgb, self.depth, self.labels) if x is not None]
        return self.rgb is not None and len(sizes) > 1 and len(set(sizes)) == 1


class FrameReader:
    """Reads frames one after the other and remembers what is wrong with their files."""

    def __init__(self, root: Path, file: DatasetFile) -> None:
        self._root, self._file = root, file
        self._unreadable: dict[str, str] = {}
        self._wrong_kind: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._sizes: dict[tuple[tuple[int, int], ...], list[str]] = defaultdict(list)
        self._colour_sizes: dict[tuple[int, int], list[str]] = defaultdict(list)
        self._same: dict[tuple[str, bytes], list[str]] = defaultdict(list)
        self._flat: list[str] = []
        self._cameras: dict[CameraIntrinsics, list[str]] = defaultdict(list)

    def read(self, sample_id: str) -> StoredFrame:
        """The frame of this id. Missing files are not told of here: `files.py` has them all."""
        images: dict[str, np.ndarray | None] = {}
        for kind in self._file.kinds:
            path = self._root / self._file.file_of(kind, sample_id)
            if not path.is_file():
                continue
            try:
                if kind == 'pose':
                    read_pose(path)
                elif kind == 'intrinsics':
                    self._read_camera(path, sample_id, images.get('image'))
                else:
                    images[kind] = self._image(kind, path, sample_id)
            except InputError as problem:
                # `PATH: what is wrong; what to do`, of which the path and the rest are said once.
                what = str(problem).removeprefix(f'{path}: ').rpartition('; ')[0]
                self._unreadable[f'{self._file.file_of(kind, sample_id)}: {what}'] = sample_id
        frame = StoredFrame(
            sample_id, images.get('image'), images.get('depth'), images.get('label')
        )
        self._remember(frame)
        return frame

    def _image(self, kind: str, path: Path, sample_id: str) -> np.ndarray | None:
        """The image, or None where it cannot be of this kind."""
        if kind == 'image':
            return read_rgb(path)
        image = read_stored(path, indices=kind == 'label')
        with path.open('rb') as stream:
            is_jpeg = stream.read(len(_JPEG)) == _JPEG
        wrong = None
        if is_jpeg:
            wrong = 'a JPEG'
        elif image.ndim != 2 or image.dtype not in _ALLOWED[kind]:
            wrong = kind_of_image(image)
        if wrong is None:
            return image
        self._wrong_kind[kind, wrong].append(sample_id)
        return None

    def _read_camera(self, path: Path, sample_id: str, image: np.ndarray | None) -> None:
        text = read_text(path)
        if image is not None:
            self._cameras[intrinsics_from_text(text, image.shape[:2])].append(sample_id)

    def _remember(self, frame: StoredFrame) -> None:
        images = {'colour': frame.rgb, 'depth': frame.depth, 'labels': frame.labels}
        sizes = {kind: image.shape[:2] for kind, image in images.items() if image is not None}
        if len(set(sizes.values())) > 1:
            self._sizes[tuple(sizes.items())].append(frame.id)
        elif sizes:
            self._colour_sizes[next(iter(sizes.values()))].append(frame.id)
        for kind in ('colour', 'depth'):
            image = images[kind]
            if image is None:
                continue
            if image.min() == image.max() and kind == 'colour':
                self._flat.append(frame.id)
            elif image.min() != image.max():
                digest = hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()
                self._same[kind, digest].append(frame.id)

    def cameras(self) -> dict[CameraIntrinsics, list[str]]:
        """Those whose size is that of their images, and the frames of each, [] for all frames."""
        camera = self._file.intrinsics
        if isinstance(camera, str):
            return self._cameras
        return {camera: []} if set(self._colour_sizes) <= {camera.size} else {}

    def findings(self, splits: dict[str, tuple[str, ...]]) -> list[Finding]:
        """What was wrong with the files read so far."""
        return [
            *self._unreadable_files(),
            *(_wrong_kind(kind, what, ids) for (kind, what), ids in self._wrong_kind.items()),
            *self._differing_sizes(),
            *self._flat_images(),
            *self._repeated(splits),
        ]

    def _unreadable_files(self) -> list[Finding]:
        if not self._unreadable:
            return []
        count = counted(len(self._unreadable), 'file')
        return [
            error(
                'unreadable_files',
                f'{count} cannot be read: {few(self._unreadable, 10)}',
                'restore them, or take their ids out of the splits and the images away',
                self._unreadable.values(),
            )
        ]

    def _differing_sizes(self) -> list[Finding]:
        found = []
        for sizes, ids in self._sizes.items():
            listed = ', '.join(f'{kind} {width}x{height}' for kind, (height, width) in sizes)
            found.append(
                error(
                    'sizes_differ',
                    f'the images of one frame differ in size: {listed}',
                    'register depth to colour (then it has its size), and resize labels with '
                    'nearest neighbour only',
                    ids,
                )
            )
        camera = self._file.intrinsics
        if isinstance(camera, str):
            return found  # Each frame has a camera of the size of its image.
        for size, ids in self._colour_sizes.items():
            if size != camera.size:
                found.append(_other_size(camera, size, ids))
        return found

    def _flat_images(self) -> list[Finding]:
        if not self._flat:
            return []
        return [
            warning(
                'image_blank',
                'colour images are one colour all over',
                'take these frames out: nothing can be learnt from them',
                self._flat,
            )
        ]

    def _repeated(self, splits: dict[str, tuple[str, ...]]) -> list[Finding]:
        found = []
        owner = {i: name for name, ids in splits.items() for i in ids}
        # In a film a frame comes twice where the camera was late: only a standstill is a fault.
        most = 1 if self._file.rate_hz is None else _LATE_FRAMES
        for kind in ('colour', 'depth'):
            twins = [ids for (k, _), ids in self._same.items() if k == kind and len(ids) > 1]
            across = [ids for ids in twins if len({owner[i] for i in ids if i in owner}) > 1]
            within = [ids for ids in twins if ids not in across and len(ids) > most]
            for groups, raised in ((across, error), (within, warning)):
                if groups:
                    found.append(_same(kind, groups, raised))
        return found


def _same(kind: str, groups: list[list[str]], raised: Callable[..., Finding]) -> Finding:
    where = ' in different splits' if raised is error else ''
    return raised(
        f'{kind}_repeated',
        f'{kind} of different frames{where} is the same to the last pixel, for example '
        f'{few(groups[0])}',
        'keep one frame of each, and find out which step copied or froze it',
        [i for ids in groups for i in ids],
    )


def _other_size(camera: CameraIntrinsics, size: tuple[int, int], ids: list[str]) -> Finding:
    height, width = size
    if max(abs(camera.cx / width - 0.5), abs(camera.cy / height - 0.5)) < 0.15:
        remedy = f'write width: {width}, height: {height}: fx, fy, cx, cy seem to be for that size'
    else:
        remedy = (
            f'write width: {width}, height: {height}, and if the images were scaled (not cropped), '
            f'fx and cx times {width / camera.width:.4g}, fy and cy times '
            f'{height / camera.height:.4g}'
        )
    return error(
        'intrinsics_size',
        f'images are {width}x{height}, but the intrinsics in {DATASET_FILE} are for '
        f'{camera.width}x{camera.height}',
        remedy,
        ids,
    )


def _wrong_kind(kind: str, what: str, ids: list[str]) -> Finding:
    if kind == 'label':
        return error(
            'label_kind',
            f'labels are {what}; they must be PNG of one channel with 8 or 16 bits, a class number '
            'a pixel',
            'export them again as PNG: JPEG has mixed the numbers at every border'
            if what == 'a JPEG'
            else 'export class numbers instead of colours, or map each colour back to its number',
            ids,
        )
    remedy = 'export the raw depth again; a picture of it has lost the metres'
    if '32-bit' in what or '64-bit' in what:
        remedy = 'multiply metres by 1000, round, and write them as uint16 with depth_scale: 0.001'
    return error(
        'depth_kind', f'depth is {what}; it must be a PNG of one channel with 16 bits', remedy, ids
    )
