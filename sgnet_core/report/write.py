# SPDX-License-Identifier: Apache-2.0
"""A report as a folder: metrics.json for programs, report.html for people."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sgnet_core.errors import InputError
from sgnet_core.files import atomic_write, write_json
from sgnet_core.labels import LabelSet
from sgnet_core.report import run_sections, sections
from sgnet_core.report.page import page, section
from sgnet_core.report.picks import FramePicker, Picked
from sgnet_core.report.shots import shots

METRICS, REPORT = 'metrics.json', 'report.html'


class ReportFolder:
    """What `--out` names: holds the report of an evaluation.

    Attributes:
        picker: the frames that will be pictures; it watches the evaluation.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder, so that a long run does not end in vain.

        Raises:
            InputError: it cannot be made, or not written to.
        """
        self._folder, self.picker = folder, FramePicker()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise InputError(
                f'--out {folder} cannot be written to ({error.strerror}): give a folder that can'
            ) from error

    def write(self, metrics: Mapping[str, Any], label_set: LabelSet) -> None:
        """Write metrics.json and report.html in place of those of an earlier run.

        Args:
            metrics: of `Evaluation.to_json`, with `provenance`.
            label_set: the classes of the metrics.
        """
        with atomic_write(self._folder / METRICS) as partial:
            write_json(partial, dict(metrics))
        write_page(self._folder / REPORT, report_page(metrics, self.picker.picked(), label_set))


def write_page(path: Path, text: str) -> None:
    """Write an HTML page, whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding='utf-8')


def report_page(
    metrics: Mapping[str, Any],
    picked: Mapping[str, Sequence[Picked]],
    label_set: LabelSet,
) -> str:
    """The page of one run."""
    return page(
        title_of(metrics),
        _subtitle(metrics, len(label_set)),
        [
            sections.headline(metrics),
            sections.per_class(metrics, label_set.palette.tolist()),
            section(
                'Frames',
                shots(picked, label_set),
                note='By their own mIoU. Errors are red; what is not labelled is black in the '
                'truth and white among the errors. The median is the nearest to it of two dozen '
                'frames at random.',
            ),
            sections.confusion(metrics),
            sections.where(metrics),
            sections.calibration(metrics),
            sections.robustness(metrics),
            run_sections.timing(metrics),
            run_sections.origin(metrics),
        ],
    )


def title_of(metrics: Mapping[str, Any]) -> str:
    """`sgnet_lite0 on nyuv2, split val`."""
    known = metrics.get('provenance') or {}
    network = (known.get('checkpoint') or {}).get('network', 'a network').partition(' (')[0]
    data = known.get('data') or {}
    split = f', split {data["split"]}' if data.get('split', 'all') != 'all' else ''
    return f'{network} on {data.get("name", "a data set")}{split}'


def _subtitle(metrics: Mapping[str, Any], classes: int) -> str:
    parts = [f'{metrics["frames"]} frames', f'{classes} classes']
    parts.append((metrics.get('provenance') or {}).get('time'))
    if metrics.get('interrupted'):
        parts.append('interrupted: of the frames seen until then')
    parts.append(metrics.get('damage'))
    return ', '.join(filter(None, parts))
