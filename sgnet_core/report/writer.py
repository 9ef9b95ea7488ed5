# SPDX-License-Identifier: Apache-2.0
"""A report as a folder: metrics.json for programs, report.html for people."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sgnet_core.errors import InputError
from sgnet_core.evaluation.tables import AVERAGES
from sgnet_core.io.files import write_file, write_json
from sgnet_core.labels import LabelSet
from sgnet_core.report import charts, sections
from sgnet_core.report.frame_rows import frame_row, visible_classes
from sgnet_core.report.frame_selection import FrameSelector, SelectedFrame
from sgnet_core.report.template import render

METRICS, REPORT = 'metrics.json', 'report.html'


class ReportFolder:
    """The folder of `--out`; the evaluation updates `selector`."""

    def __init__(self, folder: Path) -> None:
        """Create the folder before a long run.

        Raises:
            InputError: the folder cannot be created or written to.
        """
        self._folder, self.selector = folder, FrameSelector()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise InputError(
                f'--out {folder} cannot be written to ({error.strerror}): give a writable folder'
            ) from error

    def write(self, metrics: Mapping[str, Any], label_set: LabelSet) -> None:
        """Write metrics.json and report.html of `Evaluation.to_json` with `provenance`."""
        write_json(self._folder / METRICS, dict(metrics))
        page = report_page(metrics, self.selector.selected(), label_set)
        write_file(self._folder / REPORT, page)


def report_page(
    metrics: Mapping[str, Any], selected: Mapping[str, Sequence[SelectedFrame]], label_set: LabelSet
) -> str:
    """HTML of one run."""
    bins = [row for row in (metrics.get('calibration') or {}).get('bins') or [] if row['pixels']]
    frames = [(group, frame) for group, members in selected.items() for frame in members]
    return render(
        'report.html.j2',
        title=sections.title(metrics),
        subtitle=sections.subtitle(metrics),
        metrics=metrics,
        colors={
            name: '#{:02x}{:02x}{:02x}'.format(*color)
            for name, color in zip(label_set.class_names, label_set.palette.tolist(), strict=True)
        },
        averages=AVERAGES,
        time_name=sections.time_name(metrics),
        frames=[(group, frame, frame_row(frame, label_set)) for group, frame in frames],
        legend=[label_set.class_names[i] for i in visible_classes(f for _, f in frames)],
        confusion=sections.confusion(metrics),
        conditions=sections.conditions(metrics),
        calibration=charts.reliability(bins) if bins else None,
        robustness=sections.robustness_charts(metrics),
        distributions=sections.distributions(metrics),
        provenance=sections.provenance_facts(metrics),
    )
