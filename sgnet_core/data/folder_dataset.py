# SPDX-License-Identifier: Apache-2.0
"""Reads a folder of RGB-D frames with a `dataset.yaml`; `dataset_config.py` defines the format."""

from __future__ import annotations

import glob
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from sgnet_core.data.dataset_config import (
    DATASET_FILE,
    intrinsics_from_text,
    read_class_names,
    read_dataset_config,
    read_split,
    read_text,
)
from sgnet_core.data.sunrgbd import camera_of
from sgnet_core.errors import DataError, InputError
from sgnet_core.geometry.plausibility import camera_problems, depth_problems
from sgnet_core.io.images import TURNED_REMEDY, LabelFiles, read_depth, read_rgb
from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample

_logger = logging.getLogger(__name__)


class FolderDataset:
    """Samples of a folder with a `dataset.yaml`, in the order of `ids`.

    Attributes:
        root, name, rate_hz: as in the file; `rate_hz` may be None.
        intrinsics: camera of all frames; None if each frame has its own.
        ids: of the chosen frames; without `split` and `ids` all frames in natural order.
        class_names: without "void"; None for a dataset without classes.
        splits: names of the splits in the file.
        has_labels, has_poses: whether every sample has them.
    """

    def __init__(
        self,
        root: str | Path,
        split: str | None = None,
        ids: Iterable[str] | None = None,
        labels: bool = True,
        depth_scale: float | None = None,
    ) -> None:
        """Open the folder and check that all files of the chosen frames exist.

        The log warns of implausible intrinsics or depth in the first, middle and last frame.

        Args:
            labels: False ignores labels and classes; their files may be missing.
            depth_scale: metres per unit of depth; replaces the value in the file.

        Raises:
            DataError: a file is missing, or `dataset.yaml` is invalid.
            InputError: both `split` and `ids` are given.
        """
        if split is not None and ids is not None:
            raise InputError('give a split or a list of ids, not both')
        self.root = Path(root)
        self._config = read_dataset_config(self.root)
        self._label_files = LabelFiles()
        if depth_scale is not None:
            self._config = replace(self._config, depth_scale=depth_scale)
        self.name = self._config.name
        per_frame = isinstance(self._config.intrinsics, str)
        self.intrinsics = None if per_frame else self._config.intrinsics
        self.rate_hz = self._config.rate_hz
        self.splits = tuple(self._config.splits)
        self.has_labels = labels and self._config.label is not None
        self.has_poses = self._config.pose is not None
        self.class_names = None
        if labels and self._config.classes is not None:
            path = self.root / self._config.classes
            self.class_names = read_class_names(path, self._config.label_offset)
        self.ids = self._choose_ids(split, ids)
        self._check_files()
        self._warn_of_implausible_values()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return self.load(self.ids[index])

    def load(self, sample_id: str) -> Sample:
        """The frame of this id, chosen or not.

        Raises:
            DataError: a file is missing or unreadable, an image has the wrong type or size, or a
                label is out of range.
        """
        image, depth = self._path('image', sample_id), self._path('depth', sample_id)
        rgb = read_rgb(image)
        camera = self._camera(sample_id, rgb)
        _check_size(image, rgb, camera)
        depth_m = read_depth(depth, self._config.depth_scale, self._config.depth_invalid)
        _check_size(depth, depth_m, camera)
        labels = None
        if self.has_labels:
            labels = self.load_labels(sample_id)
            _check_size(self._path('label', sample_id), labels, camera)
        pose = read_pose(self._path('pose', sample_id)) if self.has_poses else None
        frame = RgbdFrame(rgb, depth_m, camera)
        return Sample(sample_id, frame, labels, pose, camera_of(sample_id))

    def load_labels(self, sample_id: str) -> np.ndarray:
        """Labels (H, W) uint8 of the frame of this id; unlike `load`, does not check their size."""
        path = self._path('label', sample_id)
        return self._label_files.read(path, self._config.label_offset, len(self.class_names or ()))

    def _camera(self, sample_id: str, image: np.ndarray) -> CameraIntrinsics:
        if self.intrinsics is not None:
            return self.intrinsics
        path = self._path('intrinsics', sample_id)
        return intrinsics_from_text(read_text(path), image.shape[:2], path)

    def _warn_of_implausible_values(self) -> None:
        raw, cameras = [], {}
        for sample_id in {self.ids[at]: None for at in (0, len(self.ids) // 2, -1)}:
            with suppress(InputError):  # `load` raises it
                depth = self._path('depth', sample_id)
                # Sensors saturate at the largest value.
                image = read_depth(depth, 1.0, (*self._config.depth_invalid, 65535))
                cameras[self._camera(sample_id, image)] = None
                raw.append(image.ravel())
        problems = [problem for camera in cameras for problem in camera_problems(camera)]
        if raw:
            setting, scale = f'depth_scale in {DATASET_FILE}', self._config.depth_scale
            problems += depth_problems(np.concatenate(raw), scale, setting)
        for problem in {problem.check: problem for problem in problems}.values():
            _logger.warning('%s: %s', self.root, problem)

    def _path(self, kind: str, sample_id: str) -> Path:
        return self.root / self._config.file_of(kind, sample_id)

    def _choose_ids(self, split: str | None, ids: Iterable[str] | None) -> tuple[str, ...]:
        if split is not None:
            if split not in self._config.splits:
                known = ', '.join(self._config.splits) or 'none'
                raise DataError(
                    f'{self.root / DATASET_FILE}: no split {split!r}; choose one of: {known}'
                )
            return read_split(self.root / self._config.splits[split])
        if ids is not None:
            if not (chosen := tuple(ids)):
                raise DataError(f'{self.root}: the list of ids is empty; name at least one')
        elif not (chosen := ids_on_disk(self.root, self._config.image)):
            raise DataError(
                f'{self.root / self._config.image}: no file matches; correct `image` in '
                f'{DATASET_FILE}, or put the images there'
            )
        return chosen

    def _check_files(self) -> None:
        kinds = [k for k in self._config.kinds if k != 'label' or self.has_labels]
        missing = [
            self._path(kind, sample_id)
            for sample_id in self.ids
            for kind in kinds
            if not self._path(kind, sample_id).is_file()
        ]
        if missing:
            more = f' (and {len(missing) - 1} more are missing)' if len(missing) > 1 else ''
            raise DataError(f'{missing[0]}: no such file{more}; restore it, or leave its id out')


def _check_size(path: Path, image: np.ndarray, camera: CameraIntrinsics) -> None:
    if image.shape[:2] != camera.size:
        turned = image.shape[1::-1] == camera.size
        remedy = 'register depth to colour, or correct the intrinsics'
        raise DataError(
            f'{path}: {image.shape[1]}x{image.shape[0]} pixels, but the intrinsics are for '
            f'{camera.width}x{camera.height}; colour, depth and labels must all have that size: '
            f'{TURNED_REMEDY if turned else remedy}'
        )


def ids_on_disk(root: Path, pattern: str) -> tuple[str, ...]:
    """The ids whose files match `pattern` under `root`, in natural order."""
    first, *rest = pattern.split('{id}')
    expression = re.escape(first) + '(?P<id>[^/]+)' + '(?P=id)'.join(map(re.escape, rest))
    # Two stars in a row, of ids side by side, would mean folders.
    files = root.glob(re.sub(r'\*+', '*', '*'.join(map(glob.escape, (first, *rest)))))
    matches = (re.fullmatch(expression, file.relative_to(root).as_posix()) for file in files)
    return tuple(sorted((match['id'] for match in matches if match), key=natural_order))


def read_pose(path: Path) -> np.ndarray:
    """(4, 4) float64 camera-to-world from four lines of four numbers."""
    # Outside the try: a DataError is a ValueError too.
    rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
    try:
        pose = np.array(rows).astype(np.float64)
    except ValueError as error:
        raise DataError(f'{path}: not a 4x4 matrix; write four lines of four numbers') from error
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise DataError(
            f'{path}: not a 4x4 matrix of finite numbers, got {pose.shape}; '
            'write four lines of four numbers, or leave its id out'
        )
    return pose


def natural_order(sample_id: str) -> list[str | tuple[int, str]]:
    """Sorts frame-2 before frame-10."""
    # A number by its length, then its digits: Python converts no number of 5000 digits.
    parts = re.split(r'0*(\d+)', sample_id)
    return [(len(part), part) if index % 2 else part for index, part in enumerate(parts)]
