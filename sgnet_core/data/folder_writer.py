# SPDX-License-Identifier: Apache-2.0
"""Writes samples as a dataset folder; `folder_dataset.py` reads it back."""

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
from sgnet_core.io.files import check_new_folder, write_file
from sgnet_core.io.images import MILLIMETRE, write_depth, write_labels, write_rgb
from sgnet_core.labels import check_class_ids, label_set_of
from sgnet_core.types import CameraIntrinsics, Sample


class FolderWriter:
    """Writes samples as a dataset folder: `image/`, `depth/`, `label/`, ..., `dataset.yaml`.

    `close` writes `dataset.yaml` last; without it the folder is not a dataset. The context manager
    closes the writer unless an error or Ctrl-C ends the block.

    Methods raise `InputError` for values that do not fit, and `SgnetError` if writing fails.
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
        """Start a dataset in an empty or new folder, or resume an unfinished one.

        Args:
            intrinsics: camera of all frames; None if each frame has its own, of any size.
            class_names: without "void"; None for frames without labels.
            with_pose: whether every sample has a pose.
            image_suffix: `.jpg` (quality 95, small) or `.png` (exact, large).
            written: ids that an interrupted writer of the same dataset wrote; None requires an
                empty folder.
        """
        self.root = Path(root)
        if written is None:
            check_new_folder(self.root)
        if image_suffix not in ('.jpg', '.png'):
            raise InputError(f'image_suffix {image_suffix!r} must be .jpg or .png')
        labelled = class_names is not None
        self._class_names = label_set_of(class_names).class_names if labelled else None
        self._config = DatasetConfig(
            name=name,
            image=f'image/{{id}}{image_suffix}',
            depth='depth/{id}.png',
            depth_scale=MILLIMETRE,
            intrinsics=intrinsics or 'intrinsics/{id}.txt',
            label='label/{id}.png' if labelled else None,
            label_offset=int(labelled),
            classes='classes.txt' if labelled else None,
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
        """Write the files of one sample; its id must be new and a valid file name."""
        self._check(sample)
        write_depth(self._path('depth', sample.id), sample.frame.depth_m)
        if sample.labels is not None:
            write_labels(self._path('label', sample.id), sample.labels)
        if sample.pose is not None:
            rows = [' '.join(repr(float(value)) for value in row) for row in sample.pose]
            write_file(self._path('pose', sample.id), _lines(rows))
        if isinstance(self._config.intrinsics, str):
            text = intrinsics_to_text(sample.frame.intrinsics)
            write_file(self._path('intrinsics', sample.id), text)
        # Last: images define the frames, so an interruption leaves the dataset intact.
        write_rgb(self._path('image', sample.id), sample.frame.rgb)
        self._ids[sample.id] = None

    def write_split(self, name: str, ids: Iterable[str]) -> None:
        """Write a split, a new name, of samples written so far."""
        ids = tuple(ids)
        if not re.fullmatch(r'[\w-]+', name) or name in self._config.splits:
            raise InputError(f'split name {name!r} must be a new word of letters, digits, - and _')
        if not ids:
            raise InputError(f'split {name!r} is empty; give at least one id')
        if unknown := [sample_id for sample_id in ids if sample_id not in self._ids]:
            raise InputError(
                f'split {name!r}: frame {unknown[0]!r} has not been written; write it first'
            )
        file = f'split_{name}.txt'
        write_file(self.root / file, _lines(ids))
        self._config = replace(self._config, splits={**self._config.splits, name: file})

    def close(self, rate_hz: float | None = None) -> None:
        """Write `dataset.yaml`, once only; give `rate_hz` if it was not known at the start."""
        if self._closed:
            return
        if not self._ids:
            raise InputError(f'{self.root}: no frame was written; write at least one')
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
                f'frame {sample.id!r} has {sample.frame.intrinsics}, the dataset {camera}; '
                'start the dataset with intrinsics None for several cameras'
            )
        for what, has, wants in (
            ('labels', sample.labels is not None, self._class_names is not None),
            ('pose', sample.pose is not None, self._config.pose is not None),
        ):
            if has != wants:
                raise InputError(
                    f'frame {sample.id!r} comes with{"" if has else "out"} {what}, but the '
                    f'dataset was started with{"" if wants else "out"}; all frames must agree'
                )
        if sample.labels is not None:
            try:
                check_class_ids(sample.labels, len(self._class_names or ()))
            except InputError as error:
                raise InputError(f'frame {sample.id!r}: {error}') from error


def _lines(lines: Iterable[str]) -> str:
    return '\n'.join(lines) + '\n'
