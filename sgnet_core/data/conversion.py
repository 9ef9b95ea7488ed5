# SPDX-License-Identifier: Apache-2.0
"""Converts a published dataset to a dataset folder; an interrupted conversion can be resumed.

A journal inside the folder lists the finished frames until the last one is written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.errors import ConfigError, DataError, InputError
from sgnet_core.io.files import check_new_folder, no_follow, write_errors, write_file
from sgnet_core.io.text_files import parse_json, read_text
from sgnet_core.types import UNLABELLED, CameraIntrinsics, Sample

JOURNAL = 'unfinished.jsonl'
MAX_SKIPPED = 0.01
"""Fraction of unreadable frames above which a conversion fails."""

BLOCK = 8
BLOCKS_PER_VAL_BLOCK = 8
_VAL_BLOCK = 6


class SourceDataset(Protocol):
    """A dataset as it is published.

    Constructors raise `DataError` if a file is missing, damaged or not the published one, and
    `ConfigError` if h5py or SciPy is not installed.
    """

    name: str
    ids: tuple[str, ...]
    class_names: tuple[str, ...] | None
    intrinsics: CameraIntrinsics | None
    splits: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]

    def camera(self, sample_id: str) -> str:
        """Camera model of a frame."""

    def load(self, sample_id: str) -> Sample:
        """One frame; raises InputError if it is unusable."""


def fit_and_val(ids: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split training frames into `fit` and `val`: of every eight blocks of eight, the seventh.

    Neighbouring frames show the same place, so single frames would leak from `fit` to `val`. Fewer
    than 49 frames have no `val`.
    """
    in_val = [index // BLOCK % BLOCKS_PER_VAL_BLOCK == _VAL_BLOCK for index in range(len(ids))]
    fit = tuple(name for name, chosen in zip(ids, in_val, strict=True) if not chosen)
    val = tuple(name for name, chosen in zip(ids, in_val, strict=True) if chosen)
    return fit, val


def check_output_folder(out: Path) -> None:
    """Raise InputError unless `out` is new, empty, or an unfinished conversion."""
    if not (out / JOURNAL).is_file():
        check_new_folder(out)


def convert(source: SourceDataset, out: Path, recipe: str, image_suffix: str) -> dict[str, Any]:
    """Write all frames of `source` to the folder `out`.

    Args:
        recipe: one line that names source and options; an unfinished folder with the same recipe is
            resumed.
        image_suffix: `.jpg` or `.png`.

    Returns:
        `frames`, `skipped`, `classes_seen`, `classes_missing`, `cameras` (name -> `frames`,
        `sizes`, `depth_m`, `missing`) and `splits` (name -> frames).

    Raises:
        InputError: the folder holds other files.
        DataError: too many frames cannot be read.
        SgnetError: the folder cannot be written to.
    """
    journal = Journal(out, recipe)
    todo = [name for name in source.ids if name not in journal.entries]
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
        done = f'{len(journal.entries)} of {len(source.ids)} frames'
        print(f'{out}: {done}; the same command continues', file=sys.stderr)
        raise
    splits = {
        name: kept
        for name, ids in source.splits.items()
        if (kept := [sample_id for sample_id in ids if sample_id in journal.entries])
    }
    for name, ids in splits.items():
        writer.write_split(name, ids)
    writer.close()
    journal.path.unlink()
    return {
        **summarise(list(journal.entries.values()), source.class_names),
        'skipped': skipped,
        'splits': {name: len(ids) for name, ids in splits.items()},
    }


def _write_frames(
    source: SourceDataset, todo: list[str], writer: FolderWriter, journal: Journal
) -> int:
    """Write the remaining frames; return the number of unreadable ones."""
    skipped, total = 0, len(source.ids)
    done = total - len(todo)
    for sample_id in tqdm(todo, source.name, total, initial=done, unit='frame', disable=None):
        try:
            sample = source.load(sample_id)
        except InputError as error:
            skipped += 1
            tqdm.write(f'frame {sample_id} skipped: {error}', file=sys.stderr)
            if skipped > MAX_SKIPPED * total:
                raise DataError(
                    f'{skipped} of {total} frames cannot be read, more than {MAX_SKIPPED:.0%}; '
                    f'the last is frame {sample_id}: {error}'
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
    """The finished frames of an unfinished folder, one line each; the first line is the recipe.

    Attributes:
        path: the journal file.
        entries: id -> line of the frame, see `_journal_entry`.
    """

    def __init__(self, out: Path, recipe: str) -> None:
        """Start or resume; InputError if the folder holds other files or another recipe."""
        self.path = out / JOURNAL
        check_output_folder(out)
        lines: list[dict[str, Any]] = [{'recipe': recipe}]
        if self.path.is_file():
            lines = [_parse_line(line) for line in read_text(self.path, DataError).splitlines()]
        if not lines or lines[0].get('recipe') != recipe:
            begun = lines[0].get('recipe') if lines else None
            raise InputError(
                f'{out}: begun as {begun!r}, this is {recipe!r}; repeat that command, '
                'delete the folder or choose another one'
            )
        self.entries = {line['id']: line for line in lines if _is_entry(line)}
        text = '\n'.join(map(json.dumps, ({'recipe': recipe}, *self.entries.values())))
        write_file(self.path, text + '\n')

    def append(self, entry: dict[str, Any]) -> None:
        """Note that the files of a frame are written."""
        with (
            write_errors(self.path),
            open(self.path, 'a', encoding='utf-8', opener=no_follow) as file,
        ):
            file.write(json.dumps(entry) + '\n')
        self.entries[entry['id']] = entry


def _parse_line(line: str) -> dict[str, Any]:
    """A line of the journal; empty if it is damaged, or a killed run was writing it."""
    try:
        values = parse_json(line, JOURNAL)
    except ConfigError:
        return {}
    return values if isinstance(values, dict) else {}


def _is_entry(line: dict[str, Any]) -> bool:
    """Whether a line has the values of `_journal_entry`; a frame without its line is redone."""
    types = {'id': str, 'camera': str, 'size': str, 'missing': float, 'classes': list}
    if 'depth_m' not in line or not all(isinstance(line.get(n), t) for n, t in types.items()):
        return False
    depth_m = line['depth_m'] or [0, 0]
    if not isinstance(depth_m, list) or len(depth_m) != 2:
        return False
    return all(type(n) in (int, float) for n in (*depth_m, *line['classes']))


def summarise(
    entries: Sequence[dict[str, Any]], class_names: tuple[str, ...] | None
) -> dict[str, Any]:
    """Summary of the frames of a journal; see `convert`."""
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
