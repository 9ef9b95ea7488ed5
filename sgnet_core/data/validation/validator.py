# SPDX-License-Identifier: Apache-2.0
"""Validates a folder data set: reads each frame once and passes it to every check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from sgnet_core.data.dataset_config import DatasetConfig, read_class_names, read_dataset_config
from sgnet_core.data.validation.alignment import EdgeAgreement, depth_edges, label_edges
from sgnet_core.data.validation.depth import DepthCheck
from sgnet_core.data.validation.files import Frames, list_frames
from sgnet_core.data.validation.finding import ERROR, Finding, error
from sgnet_core.data.validation.intrinsics import intrinsics_findings
from sgnet_core.data.validation.labels import LabelCheck
from sgnet_core.data.validation.raw_frame import RawFrameReader
from sgnet_core.errors import InputError
from sgnet_core.io.images import depth_in_metres


@dataclass(frozen=True)
class ValidationResult:
    """The counts and findings of a data set, errors first.

    Attributes:
        read: the ids of the frames that were read.
        labels: None if the data set has no labels or its classes file cannot be read.
        edges: agreement of depth edges, and of label edges if any, with colour edges.
    """

    root: Path
    file: DatasetConfig
    frames: Frames
    read: tuple[str, ...]
    depth: DepthCheck
    labels: LabelCheck | None
    edges: tuple[EdgeAgreement, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """The number of findings that are errors."""
        return sum(finding.severity == ERROR for finding in self.findings)


def validate_dataset(
    root: Path, split: str | None = None, max_frames: int | None = None
) -> ValidationResult:
    """Read a data set, with a progress bar on a terminal, and check it.

    Args:
        max_frames: read this many frames, evenly spaced; None for all.

    Raises:
        DataError: `dataset.yaml` cannot be read, or the split or any frame is missing.
        InputError: `max_frames` is below 1.
    """
    if max_frames is not None and max_frames < 1:
        raise InputError(f'the number of frames must be at least 1, got {max_frames}')
    file = read_dataset_config(root)
    frames = list_frames(root, file, split)
    labels, found = _label_check(root, file)
    reader, depth = RawFrameReader(root, file), DepthCheck(file)
    edges = tuple(map(EdgeAgreement, ('depth', 'labels') if file.label else ('depth',)))
    ids = evenly_spaced(frames.ids, max_frames)
    compared = set(evenly_spaced(ids, EdgeAgreement.MAX_FRAMES))
    split_of = {i: name for name, split_ids in frames.disjoint.items() for i in split_ids}
    for sample_id in tqdm(ids, 'check', unit='frame', disable=None):
        frame = reader.read(sample_id)
        if frame.depth is not None:
            depth.add(sample_id, frame.depth)
        if frame.labels is not None and labels is not None:
            labels.add(sample_id, frame.labels, split_of.get(sample_id))
        if sample_id in compared and frame.is_aligned:
            if frame.depth is not None:
                depth_m = depth_in_metres(frame.depth, file.depth_scale, file.depth_invalid)
                edges[0].add(frame.rgb, depth_edges(depth_m))
            if frame.labels is not None:
                edges[1].add(frame.rgb, label_edges(frame.labels))
    found += [
        *frames.findings,
        *reader.findings(frames.disjoint),
        *intrinsics_findings(reader.cameras()),
        *depth.findings(),
        *(labels.findings(len(ids) == len(frames.ids)) if labels else ()),
        *(finding for agreement in edges for finding in agreement.findings()),
    ]
    found.sort(key=lambda finding: finding.severity != ERROR)
    return ValidationResult(root, file, frames, ids, depth, labels, edges, tuple(found))


def evenly_spaced(ids: tuple[str, ...], most: int | None) -> tuple[str, ...]:
    """At most `most` ids in their order, including the first."""
    if most is None or len(ids) <= most:
        return ids
    return tuple(ids[index * len(ids) // most] for index in range(most))


def _label_check(root: Path, file: DatasetConfig) -> tuple[LabelCheck | None, list[Finding]]:
    if file.label is None:
        return None, []
    try:
        names = read_class_names(root / str(file.classes), file.label_offset)
        return LabelCheck(names, file.label_offset), []
    except InputError as problem:
        seen, _, remedy = str(problem).rpartition('; ')
        return None, [error('classes_file', seen.removeprefix(f'{root}/'), remedy)]
