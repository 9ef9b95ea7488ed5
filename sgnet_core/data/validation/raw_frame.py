# SPDX-License-Identifier: Apache-2.0
"""Reads frames as stored, valid or not, and reports the problems of their files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sgnet_core.data.dataset_config import (
    DATASET_FILE,
    DatasetConfig,
    intrinsics_from_text,
    read_text,
)
from sgnet_core.data.folder_dataset import read_pose
from sgnet_core.data.validation.finding import Finding, counted, error, few, warning
from sgnet_core.errors import InputError
from sgnet_core.io.decoding import JPEG_START, RESTORE
from sgnet_core.io.images import (
    LABEL_REMEDY,
    TURNED_REMEDY,
    LabelFiles,
    depth_remedy,
    kind_of_image,
    read_rgb,
    read_stored,
)
from sgnet_core.types import CameraIntrinsics

_MAX_REPEATS = 3
_KINDS = {
    'depth': (
        *((np.uint16,), 'depth is {}, expected PNG with one channel of 16 bits'),
        depth_remedy,
    ),
    'label': (
        *((np.uint8, np.uint16), 'labels are {}, expected PNG with one channel of 8 or 16 bits'),
        lambda _: f'{LABEL_REMEDY}: JPEG mixes them at class borders',
    ),
}
"""Kind -> valid types, and the problem and remedy of other files."""


@dataclass(frozen=True)
class RawFrame:
    """One frame before any unit or offset is applied; missing or invalid images are None."""

    id: str
    rgb: np.ndarray | None = None
    depth: np.ndarray | None = None
    labels: np.ndarray | None = None

    @property
    def images(self) -> dict[str, np.ndarray]:
        """The images that are present, by the names used in findings."""
        images = {'colour': self.rgb, 'depth': self.depth, 'labels': self.labels}
        return {kind: image for kind, image in images.items() if image is not None}

    @property
    def is_aligned(self) -> bool:
        """Whether there are colour and another image, and all images have one size."""
        sizes = {image.shape[:2] for image in self.images.values()}
        return self.rgb is not None and len(self.images) > 1 and len(sizes) == 1


class RawFrameReader:
    """Reads frames one by one and records the problems of their files."""

    def __init__(self, root: Path, file: DatasetConfig) -> None:
        self._root, self._file, self._labels = root, file, LabelFiles()
        # Remedy -> file and problem -> frame.
        self._unreadable: dict[str, dict[str, str]] = defaultdict(dict)
        # A finding without ids -> the frames that show the problem.
        self._problems: dict[Finding, list[str]] = defaultdict(list)
        self._frame_sizes: set[tuple[int, int]] = set()
        self._same: dict[tuple[str, bytes], list[str]] = defaultdict(list)
        self._cameras: dict[CameraIntrinsics, list[str]] = defaultdict(list)

    def read(self, sample_id: str) -> RawFrame:
        """The frame with this id. `files.py` reports missing files, so they are skipped here."""
        images: dict[str, np.ndarray | None] = {}
        for kind in self._file.kinds:
            name = self._file.file_of(kind, sample_id)
            path = self._root / name
            if not path.is_file():
                continue
            try:
                if kind == 'pose':
                    read_pose(path)
                elif kind != 'intrinsics':
                    images[kind] = self._read_image(kind, path, sample_id)
                else:
                    text = read_text(path)
                    if 'image' in images:
                        camera = intrinsics_from_text(text, images['image'].shape[:2], path)
                        self._cameras[camera].append(sample_id)
            except InputError as problem:
                # The error is `PATH: PROBLEM; REMEDY`; one finding lists all files.
                what, _, remedy = str(problem).removeprefix(f'{path}: ').rpartition('; ')
                if remedy == RESTORE or kind in ('pose', 'intrinsics'):
                    remedy = 'restore them, or delete the images and their ids in the splits'
                self._unreadable[remedy][f'{name}: {what}'] = sample_id
        frame = RawFrame(sample_id, *(images.get(kind) for kind in ('image', 'depth', 'label')))
        self._check_sizes(frame)
        self._compare_content(frame)
        return frame

    def _read_image(self, kind: str, path: Path, sample_id: str) -> np.ndarray | None:
        """The image, or None if its type is wrong for this kind."""
        if kind == 'image':
            return read_rgb(path)
        image = self._labels.read_stored(path) if kind == 'label' else read_stored(path)
        with path.open('rb') as stream:
            is_jpeg = stream.read(len(JPEG_START)) == JPEG_START
        types, seen, remedy = _KINDS[kind]
        if not is_jpeg and image.ndim == 2 and image.dtype in types:
            return image
        seen = seen.format('a JPEG' if is_jpeg else kind_of_image(image))
        self._problems[error(f'{kind}_kind', seen, remedy(image))].append(sample_id)
        return None

    def _check_sizes(self, frame: RawFrame) -> None:
        sizes = {kind: image.shape[:2] for kind, image in frame.images.items()}
        camera = self._file.intrinsics
        if len(set(sizes.values())) > 1:
            listed = ', '.join(f'{kind} {w}x{h}' for kind, (h, w) in sizes.items())
            turned = len({tuple(sorted(size)) for size in sizes.values()}) == 1
            resize = (
                'register depth to colour, and resize labels with nearest-neighbour interpolation'
            )
            problem = error(
                'sizes_differ',
                f'the images of one frame differ in size: {listed}',
                TURNED_REMEDY if turned else resize,
            )
            self._problems[problem].append(frame.id)
            return
        self._frame_sizes |= set(sizes.values())
        for height, width in set(sizes.values()):
            if isinstance(camera, CameraIntrinsics) and (height, width) != camera.size:
                problem = error(
                    'intrinsics_size',
                    f'images are {width}x{height}, but the intrinsics in {DATASET_FILE} are for '
                    f'{camera.width}x{camera.height}',
                    f'set width: {width}, height: {height}; unless fx, fy, cx, cy already fit '
                    f'that size, multiply fx and cx by {width / camera.width:.4g}, fy and cy by '
                    f'{height / camera.height:.4g}',
                )
                self._problems[problem].append(frame.id)

    def _compare_content(self, frame: RawFrame) -> None:
        for kind, image in replace(frame, labels=None).images.items():
            if image.min() != image.max():
                digest = hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()
                self._same[kind, digest].append(frame.id)
            elif kind == 'colour':
                seen = 'all pixels of the colour image are equal'
                self._problems[warning('image_blank', seen, 'delete these frames')].append(frame.id)

    def cameras(self) -> dict[CameraIntrinsics, list[str]]:
        """The cameras whose size is that of their images -> frame ids; [] for all frames."""
        camera = self._file.intrinsics
        if isinstance(camera, str):
            return self._cameras
        return {camera: []} if self._frame_sizes <= {camera.size} else {}

    def findings(self, disjoint: dict[str, tuple[str, ...]]) -> list[Finding]:
        """Problems of the files read so far; `disjoint` are the splits, name -> ids."""
        found = [replace(problem, ids=ids) for problem, ids in self._problems.items()]
        for remedy, files in self._unreadable.items():
            seen = f'{counted(len(files), "file")} cannot be read: {few(files, 10)}'
            found.insert(0, error('unreadable_files', seen, remedy, tuple(files.values())))
        return [*found, *self._repeated(disjoint)]

    def _repeated(self, disjoint: dict[str, tuple[str, ...]]) -> Iterator[Finding]:
        split_of = {i: name for name, ids in disjoint.items() for i in ids}
        # A video may repeat a frame if the camera was late; more repeats are a frozen camera.
        most = 1 if self._file.rate_hz is None else _MAX_REPEATS
        found: dict[tuple, list[list[str]]] = defaultdict(list)
        for (kind, _), ids in self._same.items():
            if len(ids) > 1 and len({split_of[i] for i in ids if i in split_of}) > 1:
                found[error, kind, ' in different splits'].append(ids)
            elif len(ids) > most:
                found[warning, kind, ''].append(ids)
        for (raised, kind, where), groups in found.items():
            yield raised(
                f'{kind}_repeated',
                f'the {kind} images of some frames{where} are identical, e.g. {few(groups[0])}',
                'keep one of these frames, and find the step that copied or froze them',
                [i for ids in groups for i in ids],
            )
