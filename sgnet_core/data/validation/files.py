# SPDX-License-Identifier: Apache-2.0
"""Which frames there are: splits, missing files, files that belong to no frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sgnet_core.data.dataset_yaml import DATASET_FILE, DatasetFile, read_split
from sgnet_core.data.folder import counting_order, ids_on_disk
from sgnet_core.data.validation.finding import Finding, counted, error, few, warning
from sgnet_core.errors import DataError


@dataclass(frozen=True)
class Frames:
    """What a data set lists.

    Attributes:
        ids: every frame that has an image or is named by a split, in counting order.
        splits: name -> ids; without those that cannot be read.
        parts: those of the splits that are not put together from others, as `train` of NYUv2 is
            from `fit` and `val`.
        findings: what is wrong with them.
    """

    ids: tuple[str, ...]
    splits: dict[str, tuple[str, ...]]
    parts: dict[str, tuple[str, ...]]
    findings: tuple[Finding, ...]


def list_frames(root: Path, file: DatasetFile, split: str | None = None) -> Frames:
    """The frames of a data set, or of one split of it.

    Raises:
        DataError: there is no such split, or no frame at all.
    """
    if split is not None and split not in file.splits:
        known = ', '.join(file.splits) or 'none'
        raise DataError(f'{root / DATASET_FILE}: no split {split!r}; choose one of: {known}')
    splits, findings = _read_splits(root, file)
    on_disk = {kind: set(ids_on_disk(root, getattr(file, kind))) for kind in file.kinds}
    if split is None:
        ids = sorted(on_disk['image'].union(*splits.values()), key=counting_order)
    else:
        ids = list(splits.get(split, ()))
    if not ids and split is None:
        raise DataError(
            f'{root / file.image}: no file matches; correct `image` in {DATASET_FILE}, or put the '
            'images there'
        )
    parts = {name: ids for name, ids in splits.items() if not _is_union(name, splits)}
    findings += [
        *_unknown_ids(file, splits, on_disk),
        *_missing_files(file, ids, splits, on_disk),
        *(_without_image(file, on_disk) if split is None else ()),
        *_shared_ids(parts),
        *_neighbours_apart(file, parts),
    ]
    return Frames(tuple(ids), splits, parts, tuple(findings))


def _is_union(name: str, splits: dict[str, tuple[str, ...]]) -> bool:
    whole = set(splits[name])
    inside = [set(ids) for other, ids in splits.items() if other != name and whole > set(ids)]
    return len(inside) > 1 and set().union(*inside) == whole


def _read_splits(root: Path, file: DatasetFile) -> tuple[dict[str, tuple[str, ...]], list[Finding]]:
    splits, findings = {}, []
    for name, path in file.splits.items():
        try:
            splits[name] = read_split(root / path)
        except DataError as problem:
            seen, _, remedy = str(problem).rpartition('; ')
            findings.append(error('split_file', f'split {name!r}: {seen}', remedy))
    return splits, findings


def _unknown_ids(
    file: DatasetFile, splits: dict[str, tuple[str, ...]], on_disk: dict[str, set[str]]
) -> list[Finding]:
    found = []
    for name, ids in splits.items():
        unknown = [i for i in ids if not any(i in there for there in on_disk.values())]
        if unknown:
            found.append(
                error(
                    'split_missing_files',
                    f'split {name!r} names {len(unknown)} of {len(ids)} frames of which there is '
                    f'no file, for example {file.file_of("image", unknown[0])}',
                    f'restore the files, or take the ids out of {file.splits[name]}',
                    unknown,
                )
            )
    return found


def _missing_files(
    file: DatasetFile,
    ids: list[str],
    splits: dict[str, tuple[str, ...]],
    on_disk: dict[str, set[str]],
) -> list[Finding]:
    found = []
    somewhere = set().union(*on_disk.values())
    in_splits = set().union(*splits.values())
    for kind, there in on_disk.items():
        # Frames outside every split may wait for their labels: no training reads them.
        wanted = [i for i in ids if kind != 'label' or not splits or i in in_splits]
        missing = [i for i in wanted if i in somewhere and i not in there]
        if not missing:
            continue
        remedy = (
            f'correct `{kind}` in {DATASET_FILE}, or put the files there'
            if len(missing) == len(wanted)
            else 'restore the files, or take the ids out of the splits and the images away'
        )
        seen = (
            f'no {kind} file for {len(missing)} of {counted(len(wanted), "frame")}, for example '
            f'{file.file_of(kind, missing[0])}'
        )
        found.append(error('missing_files', seen, remedy, missing))
    return found


def _without_image(file: DatasetFile, on_disk: dict[str, set[str]]) -> list[Finding]:
    """Files no reader will ever see; frames that a split names are told of as missing images."""
    found = []
    for kind, there in on_disk.items():
        alone = sorted(there - on_disk['image'], key=counting_order)
        if kind != 'image' and alone:
            found.append(
                warning(
                    'files_without_image',
                    f'{counted(len(alone), f"{kind} file")} without an image, for example '
                    f'{file.file_of(kind, alone[0])}',
                    'restore the images, or delete these files: nothing reads them',
                    alone,
                )
            )
    return found


def _shared_ids(splits: dict[str, tuple[str, ...]]) -> list[Finding]:
    found = []
    names = list(splits)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            both = sorted(set(splits[first]) & set(splits[second]), key=counting_order)
            if both:
                found.append(
                    error(
                        'splits_overlap',
                        f'splits {first!r} and {second!r} share '
                        f'{counted(len(both), "frame")}: what is '
                        'measured on one was learnt from the other',
                        'list every frame in one split only',
                        both,
                    )
                )
    return found


def _neighbours_apart(file: DatasetFile, splits: dict[str, tuple[str, ...]]) -> list[Finding]:
    """A film whose frames were dealt out at random: a frame of `val` has its twin in `fit`."""
    owner = {i: name for name, ids in splits.items() for i in ids}
    if file.rate_hz is None or len(set(owner.values())) < 2:
        return []
    ids = sorted(owner, key=counting_order)
    changes = [b for a, b in zip(ids, ids[1:], strict=False) if owner[a] != owner[b]]
    smallest = min(len(ids) for ids in splits.values())
    # Dealt out at random there are two changes for each frame of the smaller split; 8 and more
    # frames in a block give a quarter of a change.
    if smallest < 4 or len(changes) < smallest:
        return []
    return [
        warning(
            'splits_interleaved',
            f'frames of a film of {file.rate_hz:g} Hz change {len(changes)} times between the '
            f'splits {few(splits)}: neighbours look alike, so that what one split measures was '
            'learnt from another',
            'cut the film into blocks, or better put whole recordings into one split',
        )
    ]
