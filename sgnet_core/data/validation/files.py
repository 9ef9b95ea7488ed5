# SPDX-License-Identifier: Apache-2.0
"""Lists the frames of a data set and checks splits and missing or surplus files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

from sgnet_core.data.dataset_config import DATASET_FILE, DatasetConfig, read_split
from sgnet_core.data.folder_dataset import ids_on_disk, natural_order
from sgnet_core.data.validation.finding import Finding, counted, error, few, warning
from sgnet_core.errors import DataError

Splits = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Frames:
    """The frames of a data set and the problems of its files and splits.

    Attributes:
        ids: every frame that has an image or is named by a split, in counting order.
        splits: name -> ids; without the splits that cannot be read.
        disjoint: the splits that must not share frames. NYUv2 `train` is the union of `fit` and
            `val`, so it is not among them.
    """

    ids: tuple[str, ...]
    splits: Splits
    disjoint: Splits
    findings: tuple[Finding, ...]


def list_frames(root: Path, file: DatasetConfig, split: str | None = None) -> Frames:
    """The frames of a data set, or of one split.

    Raises:
        DataError: the split is unknown, or the data set has no frame.
    """
    if split is not None and split not in file.splits:
        known = ', '.join(file.splits) or 'none'
        raise DataError(f'{root / DATASET_FILE}: no split {split!r}; choose one of: {known}')
    splits, findings = _read_splits(root, file)
    on_disk = {kind: set(ids_on_disk(root, getattr(file, kind))) for kind in file.kinds}
    if split is None:
        ids = sorted(on_disk['image'].union(*splits.values()), key=natural_order)
    else:
        ids = list(splits.get(split, ()))
    if not ids and split is None:
        raise DataError(
            f'{root / file.image}: no file matches; correct `image` in {DATASET_FILE}, or put the '
            'images there'
        )
    disjoint = {name: ids for name, ids in splits.items() if not _is_union(name, splits)}
    findings += [
        *_missing_files(file, ids, splits, on_disk),
        *(_files_without_image(file, on_disk) if split is None else ()),
        *_mixed_splits(file, disjoint),
    ]
    return Frames(tuple(ids), splits, disjoint, tuple(findings))


def _is_union(name: str, splits: Splits) -> bool:
    whole = set(splits[name])
    inside = [set(ids) for other, ids in splits.items() if other != name and whole > set(ids)]
    return set().union(*inside) == whole


def _read_splits(root: Path, file: DatasetConfig) -> tuple[Splits, list[Finding]]:
    splits, findings = {}, []
    for name, path in file.splits.items():
        try:
            splits[name] = read_split(root / path)
        except DataError as problem:
            seen, _, remedy = str(problem).rpartition('; ')
            findings.append(error('split_file', f'split {name!r}: {seen}', remedy))
    return splits, findings


def _missing_files(
    file: DatasetConfig, ids: list[str], splits: Splits, on_disk: dict[str, set[str]]
) -> Iterator[Finding]:
    known = set().union(*on_disk.values())
    for name, split_ids in splits.items():
        if unknown := [i for i in split_ids if i not in known]:
            example = file.file_of('image', unknown[0])
            yield error(
                'split_missing_files',
                f'split {name!r}: {len(unknown)} of {len(split_ids)} frames have no file, e.g. '
                f'{example}',
                f'restore the files, or delete the ids from {file.splits[name]}',
                unknown,
            )
    in_splits = set().union(*splits.values())
    for kind, present in on_disk.items():
        # No training reads frames outside every split, so these may still wait for labels.
        wanted = [i for i in ids if kind != 'label' or not splits or i in in_splits]
        if missing := [i for i in wanted if i in known and i not in present]:
            remedy = 'restore the files, or delete the images and their ids in the splits'
            if len(missing) == len(wanted):
                remedy = f'correct `{kind}` in {DATASET_FILE}, or put the files there'
            number = f'{len(missing)} of {counted(len(wanted), "frame")}'
            seen = f'no {kind} file for {number}, e.g. {file.file_of(kind, missing[0])}'
            yield error('missing_files', seen, remedy, missing)


def _files_without_image(file: DatasetConfig, on_disk: dict[str, set[str]]) -> Iterator[Finding]:
    for kind, present in on_disk.items():
        if alone := sorted(present - on_disk['image'], key=natural_order):
            number, example = counted(len(alone), f'{kind} file'), file.file_of(kind, alone[0])
            seen = f'{number} without an image, e.g. {example}'
            remedy = 'restore the images, or delete these unused files'
            yield warning('files_without_image', seen, remedy, alone)


def _mixed_splits(file: DatasetConfig, splits: Splits) -> Iterator[Finding]:
    """Splits that share frames, or neighbouring frames of a video."""
    for first, second in combinations(splits, 2):
        if both := sorted(set(splits[first]) & set(splits[second]), key=natural_order):
            yield error(
                'splits_overlap',
                f'splits {first!r} and {second!r} share {counted(len(both), "frame")}',
                'list each frame in one split only, or scores include training frames',
                both,
            )
    split_of = {i: name for name, ids in splits.items() for i in ids}
    if file.rate_hz is None or len(set(split_of.values())) < 2:
        return
    ids = sorted(split_of, key=natural_order)
    changes = sum(split_of[a] != split_of[b] for a, b in pairwise(ids))
    smallest = min(len(ids) for ids in splits.values())
    # A random split changes twice per frame of the smaller split; blocks of 8 frames or more
    # change at most a quarter time per frame.
    if smallest >= 4 and changes >= smallest:
        yield warning(
            'splits_interleaved',
            f'a video of {file.rate_hz:g} Hz changes {changes} times between the splits '
            f'{few(splits)}, so neighbouring frames, which look alike, are in different splits',
            'cut the video into blocks, or keep each recording in one split',
        )
