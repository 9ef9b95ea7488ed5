# SPDX-License-Identifier: Apache-2.0
"""Checks a folder data set: reads its frames once and lets every check see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sgnet_core.data.dataset_yaml import DatasetFile, read_class_names, read_dataset_file
from sgnet_core.data.validation.alignment import EdgeAgreement, depth_edges, label_edges
from sgnet_core.data.validation.depth import DepthCheck
from sgnet_core.data.validation.files import Frames, list_frames
from sgnet_core.data.validation.finding import ERROR, Finding, error
from sgnet_core.data.validation.intrinsics import intrinsics_findings
from sgnet_core.data.validation.labels import LabelCheck
from sgnet_core.data.validation.raw_frame import FrameReader, StoredFrame
from sgnet_core.errors import InputError
from sgnet_core.labels import label_set_of


@dataclass(frozen=True)
class CheckedDataset:
    """What was found in a data set.

    Attributes:
        frames: all there are; `read`: the ids of those that were looked at.
        labels: None where there are none, or their classes cannot be read.
        edges: of depth, and of labels where there are some, against colour.
        findings: errors first.
    """

    root: Path
    file: DatasetFile
    frames: Frames
    read: tuple[str, ...]
    depth: DepthCheck
    labels: LabelCheck | None
    edges: tuple[EdgeAgreement, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == ERROR for finding in self.findings)


def check_dataset(
    root: Path, split: str | None = None, max_frames: int | None = None
) -> CheckedDataset:
    """Read a data set, with a progress bar on a terminal, and judge it.

    Args:
        split: only its frames; None for all.
        max_frames: read so many, evenly spread; None for all.

    Raises:
        DataError: `dataset.yaml` cannot be read, or there is no such split or no frame.
        InputError: `max_frames` is below 1.
    """
    if max_frames is not None and max_frames < 1:
        raise InputError(f'the number of frames must be at least 1, got {max_frames}')
    file = read_dataset_file(root)
    frames = list_frames(root, file, split)
    class_names, found = _class_names(root, file)
    reader, depth = FrameReader(root, file), DepthCheck(file)
    labels = None if class_names is None else LabelCheck(class_names, file.label_offset)
    edges = {'depth': EdgeAgreement('depth')} | (
        {'labels': EdgeAgreement('labels')} if file.label else {}
    )
    read = evenly_spread(frames.ids, max_frames)
    compared = set(evenly_spread(read, EdgeAgreement.MAX_FRAMES))
    owner = {i: name for name, ids in frames.parts.items() for i in ids}
    for sample_id in tqdm(read, 'check', unit='frame', disable=None):
        frame = reader.read(sample_id)
        if frame.depth is not None:
            depth.add(sample_id, frame.depth)
        if frame.labels is not None and labels is not None:
            labels.add(sample_id, frame.labels, owner.get(sample_id))
        if sample_id in compared:
            _compare_edges(frame, file, edges)
    found += [
        *frames.findings,
        *reader.findings(frames.parts),
        *intrinsics_findings(reader.cameras()),
        *depth.findings(),
        *(labels.findings(len(read) == len(frames.ids)) if labels else ()),
        *(finding for agreement in edges.values() for finding in agreement.findings()),
    ]
    found.sort(key=lambda finding: finding.severity != ERROR)
    return CheckedDataset(
        root, file, frames, read, depth, labels, tuple(edges.values()), tuple(found)
    )


def evenly_spread(ids: tuple[str, ...], most: int | None) -> tuple[str, ...]:
    """At most `most` of the ids, in their order, the first one among them."""
    if most is None or len(ids) <= most:
        return ids
    return tuple(ids[index * len(ids) // most] for index in range(most))


def metres(depth: np.ndarray, file: DatasetFile) -> np.ndarray:
    """Raw depth, (H, W) uint16, as (H, W) float32 metres, NaN = no measurement."""
    depth_m = depth.astype(np.float32) * np.float32(file.depth_scale)
    depth_m[np.isin(depth, file.depth_invalid)] = np.nan
    return depth_m


def _class_names(root: Path, file: DatasetFile) -> tuple[tuple[str, ...] | None, list[Finding]]:
    if file.label is None:
        return None, []
    try:
        names = read_class_names(root / str(file.classes), file.label_offset)
        return label_set_of(names).class_names, []
    except InputError as problem:
        seen, _, remedy = str(problem).rpartition('; ')
        return None, [error('classes_file', seen.removeprefix(f'{root}/'), remedy)]


def _compare_edges(frame: StoredFrame, file: DatasetFile, edges: dict[str, EdgeAgreement]) -> None:
    if not frame.is_aligned:
        return
    if frame.depth is not None:
        edges['depth'].add(frame.rgb, depth_edges(metres(frame.depth, file)))
    if frame.labels is not None:
        edges['labels'].add(frame.rgb, label_edges(frame.labels))
