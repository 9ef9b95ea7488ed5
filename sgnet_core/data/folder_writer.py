# SPDX-License-Identifier: Apache-2.0
"""Writes samples as a folder data set; `folder.py` reads it back."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from sgnet_core.data.dataset_config import (
    VOID,
    DatasetConfig,
    intrinsics_to_text,
    write_dataset_config,
)
from sgnet_core.errors import InputError
from sgnet_core.io.images import (
    MILLIMETRE,
    write_depth,
    write_file,
    write_labels,
    write_rgb,
)
from sgnet_core.labels import label_set_of
from sgnet_core.types import UNLABELLED, CameraIntrinsics, Sample


class FolderWriter:
    """Writes samples as a folder data set: `image/`, `depth/`, `label/`, ..., `dataset.yaml`.

    The folder is no data set until `close` writes `dataset.yaml`, last. As a context manager it
    closes itself, except when an error or Ctrl-C ends the block.
    """

    def __init__(
        self,
        root: str | Path,
        name: str,
        intrinsics: CameraIntrinsics | None,
        class_names: Iterable[str] | None = None,
        rate_hz: float | None = None,
        *,
        with_pose: bool = False,
        image_suffix: str = '.jpg',
        written: Collection[str] | None = None,
    ) -> None:
        """Start a data set in an empty or new folder, or go on with an unfinished one.

        Args:
            intrinsics: the camera of all frames; None where each has its own, of any size.
            class_names: without "void"; None for frames without labels.
            with_pose: whether every sample has a pose.
            image_suffix: `.jpg` (quality 95, small) or `.png` (exact, large).
            written: ids that an interrupted writer of the same data set wrote; None: the folder
                must be empty.

        Raises:
            InputError: the folder is not empty, or a value is not allowed.
            SgnetError: the folder cannot be written to.
        """
        self.root = Path(root)
        taken = self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir()))
        if written is None and taken:
            raise InputError(f'{self.root}: not an empty folder; delete it or choose another one')
        if image_suffix not in ('.jpg', '.png'):
            raise InputError(f'image_suffix {image_suffix!r} must be .jpg or .png')
        self._class_names = (
            None if class_names is None else label_set_of(tuple(class_names)).class_names
        )
        has_labels = self._class_names is not None
        self._config = DatasetConfig(
            name=name,
            image=f'image/{{id}}{image_suffix}',
            depth='depth/{id}.png',
            depth_scale=MILLIMETRE,
            intrinsics=intrinsics or 'intrinsics/{id}.txt',
            label='label/{id}.png' if has_labels else None,
            label_offset=1 if has_labels else 0,
            classes='classes.txt' if has_labels else None,
            pose='pose/{id}.txt' if with_pose else None,
            rate_hz=rate_hz,
        )
        self._ids = dict.fromkeys(written or ())
        self._closed = False

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def write(self, sample: Sample) -> None:
        """Write the files of one sample.

        Raises:
            InputError: its id is used or no file name, or it has not what the data set has.
            SgnetError: a file cannot be written.
        """
        self._check(sample)
        write_depth(self._path('depth', sample.id), sample.frame.depth_m)
        if sample.labels is not None:
            write_labels(self._path('label', sample.id), sample.labels)
        if sample.pose is not None:
            rows = [' '.join(repr(float(value)) for value in row) for row in sample.pose]
            write_file(self._path('pose', sample.id), _lines(rows))
        if isinstance(self._config.intrinsics, str):
            text = intrinsics_to_text(sample.frame.intrinsics)
            write_file(self._path('intrinsics', sample.id), text.encode())
        # Last, because the images say which frames there are: whatever interrupts this, the data
        # set stays whole.
        write_rgb(self._path('image', sample.id), sample.frame.rgb)
        self._ids[sample.id] = None

    def write_split(self, name: str, ids: Iterable[str]) -> None:
        """Name a part of the samples written so far.

        Raises:
            InputError: the name is no word or used, or an id has not been written.
        """
        ids = tuple(ids)
        if not re.fullmatch(r'[\w-]+', name) or name in self._config.splits:
            raise InputError(f'split name {name!r} must be a new word of letters, digits, - and _')
        unknown = [sample_id for sample_id in ids if sample_id not in self._ids]
        if unknown or not ids:
            raise InputError(
                f'split {name!r}: frame {unknown[0]!r} has not been written; write it first'
                if unknown
                else f'split {name!r} is empty; give at least one id'
            )
        file = f'split_{name}.txt'
        write_file(self.root / file, _lines(ids))
        self._config = replace(self._config, splits={**self._config.splits, name: file})

    def close(self, rate_hz: float | None = None) -> None:
        """Make the folder a data set. Does nothing the second time.

        Args:
            rate_hz: of the frames, where it was not known at the start.

        Raises:
            InputError: no sample was written.
        """
        if self._closed:
            return
        if not self._ids:
            raise InputError(f'{self.root}: no frame was written, so it is no data set')
        if self._class_names is not None:
            write_file(self.root / str(self._config.classes), _lines((VOID, *self._class_names)))
        rate_hz = self._config.rate_hz if rate_hz is None else rate_hz
        write_dataset_config(self.root, replace(self._config, rate_hz=rate_hz))
        self._closed = True

    def _path(self, kind: str, sample_id: str) -> Path:
        return self.root / self._config.file_of(kind, sample_id)

    def _check(self, sample: Sample) -> None:
        if self._closed:
            raise InputError(f'{self.root}: closed; write every frame before closing')
        if not re.fullmatch(r'\w[\w.-]*', sample.id):
            raise InputError(f'id {sample.id!r} must be letters, digits, ".", "-" and "_"')
        if sample.id in self._ids:
            raise InputError(f'frame {sample.id!r} is already written; give every frame its own id')
        camera = self._config.intrinsics
        if isinstance(camera, CameraIntrinsics) and sample.frame.intrinsics != camera:
            raise InputError(
                f'frame {sample.id!r} has {sample.frame.intrinsics}, the data set {camera}; '
                'one data set has one camera, unless it is started with intrinsics None'
            )
        for what, has, wants in (
            ('labels', sample.labels is not None, self._class_names is not None),
            ('pose', sample.pose is not None, self._config.pose is not None),
        ):
            if has != wants:
                raise InputError(
                    f'frame {sample.id!r} comes with{"" if has else "out"} {what}, but the data '
                    f'set was started with{"" if wants else "out"}; set class_names and '
                    'with_pose to what every frame has'
                )
        if sample.labels is not None and self._class_names is not None:
            foreign = sample.labels[sample.labels != UNLABELLED] >= len(self._class_names)
            if foreign.any():
                raise InputError(
                    f'frame {sample.id!r} has labels in {foreign.sum()} pixels that are none of '
                    f'the {len(self._class_names)} classes; name every class'
                )


def _lines(lines: Iterable[str]) -> bytes:
    return ('\n'.join(lines) + '\n').encode()
