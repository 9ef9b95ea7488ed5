# SPDX-License-Identifier: Apache-2.0
"""SourceDataset of a data set, written as a folder data set; an interrupted run is gone on with.

What is finished stands in a journal inside the folder, which goes when the last frame is written.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.errors import DataError, InputError
from sgnet_core.io.files import atomic_write
from sgnet_core.types import UNLABELLED, CameraIntrinsics, Sample

JOURNAL = 'unfinished.jsonl'
MAX_SKIPPED = 0.01
"""More frames than this share cannot be read: something is wrong with the source."""

BLOCK = 8
BLOCKS_PER_VAL_BLOCK = 8
_VAL_BLOCK = 6

# A frame of 640x480 with its depth and labels, as estimated on some of NYUv2, rounded up.
_FRAME_BYTES = {'.jpg': 400_000, '.png': 800_000}


class SourceDataset(Protocol):
    """A data set as it is published."""

    name: str
    ids: tuple[str, ...]
    class_names: tuple[str, ...] | None
    intrinsics: CameraIntrinsics | None
    splits: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]

    def camera(self, sample_id: str) -> str:
        """The kind of camera that took a frame."""

    def load(self, sample_id: str) -> Sample:
        """One frame; raises InputError where it cannot be used."""


def fit_and_val(ids: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cut training frames for `fit` and `val`: of every eight blocks of eight, the seventh is val.

    Neighbouring frames show the same place, so a cut frame by frame would ask of `val` what `fit`
    has shown. Fewer than 49 frames have no `val`.
    """
    in_val = [index // BLOCK % BLOCKS_PER_VAL_BLOCK == _VAL_BLOCK for index in range(len(ids))]
    fit = tuple(name for name, chosen in zip(ids, in_val, strict=True) if not chosen)
    val = tuple(name for name, chosen in zip(ids, in_val, strict=True) if chosen)
    return fit, val


def check_output_folder(out: Path) -> None:
    """Raise InputError where `out` is neither new, nor empty, nor left unfinished."""
    if out.exists() and (
        not out.is_dir() or (any(out.iterdir()) and not (out / JOURNAL).is_file())
    ):
        raise InputError(f'{out}: not an empty folder; delete it or choose another one')


def convert(source: SourceDataset, out: Path, recipe: str, image_suffix: str) -> dict[str, Any]:
    """Write all frames of `source` to the folder `out`, and return what is in it.

    Args:
        recipe: one line that says from what and how; an unfinished folder of the same recipe is
            gone on with.
        image_suffix: `.jpg` or `.png`.

    Returns:
        `frames`, `skipped`, `classes_seen`, `classes_missing`, `cameras` (name -> `frames`,
        `sizes`, `depth_m`, `missing`) and `splits` (name -> frames).

    Raises:
        InputError: the folder is taken, or its disk too small.
        DataError: too many frames cannot be read.
        SgnetError: the folder cannot be written to.
    """
    journal = Journal(out, recipe)
    todo = [name for name in source.ids if name not in journal.entries]
    _check_space(out, len(todo) * _FRAME_BYTES[image_suffix])
    writer = FolderWriter(
        out,
        source.name,
        source.intrinsics,
        source.class_names,
        image_suffix=image_suffix,
        written=journal.entries,
    )
    try:
        skipped = _write_frames(source, todo, writer, journal)
    except KeyboardInterrupt:
        print(
            f'{out}: {len(journal.entries)} of {len(source.ids)} frames; '
            'the same command goes on from here',
            file=sys.stderr,
        )
        raise
    written = {}
    for name, ids in source.splits.items():
        kept = [sample_id for sample_id in ids if sample_id in journal.entries]
        if kept:
            writer.write_split(name, kept)
            written[name] = len(kept)
    writer.close()
    journal.remove()
    entries = list(journal.entries.values())
    return {**summarise(entries, source.class_names), 'skipped': skipped, 'splits': written}


def _write_frames(
    source: SourceDataset, todo: list[str], writer: FolderWriter, journal: Journal
) -> int:
    """Write the frames that are left; return how many cannot be read."""
    skipped = 0
    done = len(source.ids) - len(todo)
    bar = tqdm(todo, source.name, len(source.ids), initial=done, unit='frame', disable=None)
    for sample_id in bar:
        try:
            sample = source.load(sample_id)
        except InputError as error:
            skipped += 1
            tqdm.write(f'frame {sample_id} skipped: {error}', file=sys.stderr)
            if skipped > MAX_SKIPPED * len(source.ids):
                raise DataError(
                    f'{skipped} of {len(source.ids)} frames cannot be read, more than '
                    f'{MAX_SKIPPED:.0%}; the last is frame {sample_id}: {error}'
                ) from error
            continue
        writer.write(sample)
        journal.append(_journal_entry(sample, source.camera(sample_id)))
    return skipped


def _journal_entry(sample: Sample, camera: str) -> dict[str, Any]:
    depth_m = sample.frame.depth_m
    measured = depth_m[np.isfinite(depth_m)]
    labels = np.unique(sample.labels) if sample.labels is not None else np.array([], np.uint8)
    return {
        'id': sample.id,
        'camera': camera,
        'size': f'{depth_m.shape[1]}x{depth_m.shape[0]}',
        'missing': 1 - measured.size / depth_m.size,
        'depth_m': [float(measured.min()), float(measured.max())] if measured.size else None,
        'classes': labels[labels != UNLABELLED].tolist(),
    }


class Journal:
    """The frames of an unfinished folder, one line each; the first line is the recipe.

    Attributes:
        entries: id -> what `summarise` needs to know of the frame.
    """

    def __init__(self, out: Path, recipe: str) -> None:
        """Begin one in a new or empty folder, or take up what an interrupted run left.

        Raises:
            InputError: the folder is taken by something else.
        """
        self._path = out / JOURNAL
        self.entries: dict[str, dict[str, Any]] = {}
        check_output_folder(out)
        if self._path.is_file():
            self._resume(out, recipe)
        out.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(line) for line in ({'recipe': recipe}, *self.entries.values())]
        with atomic_write(self._path) as partial:
            partial.write_text('\n'.join(lines) + '\n', encoding='utf-8')

    def append(self, entry: dict[str, Any]) -> None:
        """Note that the files of a frame are written."""
        with self._path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(entry) + '\n')
        self.entries[entry['id']] = entry

    def remove(self) -> None:
        """The folder is a data set now."""
        self._path.unlink()

    def _resume(self, out: Path, recipe: str) -> None:
        first, *lines = self._path.read_text(encoding='utf-8').splitlines() or ['']
        begun = _parse_line(first).get('recipe')
        if begun != recipe:
            raise InputError(
                f'{out}: begun as {begun!r}, this is {recipe!r}; repeat that command, '
                'delete the folder or choose another one'
            )
        for entry in map(_parse_line, lines):
            if 'id' in entry:
                self.entries[entry['id']] = entry
        # What was being written when the run was killed.
        for partial in out.rglob('*.partial'):
            partial.unlink()


def _parse_line(line: str) -> dict[str, Any]:
    """A line of the journal; empty where it was being written when the run was killed."""
    try:
        return json.loads(line)
    except ValueError:
        return {}


def _check_space(out: Path, needed: int) -> None:
    free = shutil.disk_usage(out).free
    text = f'about {needed / 1e9:.1f} GB to write, {free / 1e9:.1f} GB free'
    if needed > free:
        raise InputError(f'{out}: {text}; make room, or choose a folder on another disk')
    print(f'{out}: {text}', file=sys.stderr)


def summarise(
    entries: Sequence[dict[str, Any]], class_names: tuple[str, ...] | None
) -> dict[str, Any]:
    """What the frames of a journal hold together; see `convert`."""
    seen = {number for entry in entries for number in entry['classes']}
    names = list(enumerate(class_names or ()))
    cameras: dict[str, Any] = {}
    for camera in sorted({entry['camera'] for entry in entries}):
        own = [entry for entry in entries if entry['camera'] == camera]
        ranges = np.array([entry['depth_m'] for entry in own if entry['depth_m']] or [[0, 0]])
        cameras[camera] = {
            'frames': len(own),
            'sizes': sorted({entry['size'] for entry in own}),
            'depth_m': [round(float(ranges[:, 0].min()), 3), round(float(ranges[:, 1].max()), 3)],
            'missing': round(sum(entry['missing'] for entry in own) / len(own), 4),
        }
    return {
        'frames': len(entries),
        'classes_seen': [name for number, name in names if number in seen],
        'classes_missing': [name for number, name in names if number not in seen],
        'cameras': cameras,
    }
