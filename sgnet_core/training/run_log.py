# SPDX-License-Identifier: Apache-2.0
"""Progress of a run: a progress bar, `log.jsonl`, and TensorBoard curves and pictures."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.io.files import write_errors, write_file
from sgnet_core.types import Sample
from sgnet_core.visualization.depth_colors import depth_to_rgb
from sgnet_core.visualization.figures import contact_sheet
from sgnet_core.visualization.overlay import overlay_image

LOG_FILE, CURVES_FOLDER = 'log.jsonl', 'tensorboard'
FRAMES_PICTURED = 4
PICTURE_COLUMNS = ('colour', 'depth', 'truth', 'prediction')

logger = logging.getLogger(__name__)


class RunLog:
    """The log of one run in the folder `out`; `close` it at the end.

    Args:
        out: existing output folder.
        epochs: total epochs of the run.
        images: images in an epoch.
        done: completed epochs. Records of later epochs are removed from the log.

    Raises:
        SgnetError: the log cannot be written.
    """

    def __init__(self, out: Path, epochs: int, images: int, done: int = 0) -> None:
        self._path, self._epochs = out / LOG_FILE, epochs
        self._write(record for record in _records(self._path) if record['epoch'] <= done)
        self._writer = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.info(
                'TensorBoard is not installed: no curves and pictures (pip install tensorboard)'
            )
        else:
            self._curves = out / CURVES_FOLDER
            threading.excepthook = _report_thread_error
            with write_errors(self._curves):
                self._writer = SummaryWriter(self._curves, purge_step=done + 1)
        # No smoothing: the remaining time then includes evaluations.
        self._bar = tqdm(
            desc='train', total=epochs * images, initial=done * images, unit='image',
            smoothing=0, disable=None, leave=False,
        )  # fmt: skip
        self._resumed_at, self._started = done, time.monotonic()

    def close(self) -> None:
        """Close the progress bar and the TensorBoard files."""
        self._bar.close()
        if self._writer is not None:
            with write_errors(self._curves):
                self._writer.close()

    def update_progress(self, images: int, loss: float) -> None:
        """Advance the bar by a batch; `loss` is the mean of the epoch so far."""
        self._bar.set_postfix(loss=f'{loss:.3f}', refresh=False)
        self._bar.update(images)

    def log_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of epoch `number`, counted from 1.

        Raises:
            SgnetError: the log cannot be written.
        """
        self._write([*_records(self._path), {'epoch': number, **metrics}])
        if self._writer is not None:
            with write_errors(self._curves):
                for name, value in metrics.items():
                    self._writer.add_scalar(name, value, number)
                self._writer.flush()
        seconds = (time.monotonic() - self._started) / (number - self._resumed_at)
        left = timedelta(seconds=round(seconds * (self._epochs - number)))
        with tqdm.external_write_mode():
            logger.info(
                'epoch %d/%d, %s, %s left', number, self._epochs,
                ', '.join(f'{name} {value:.4g}' for name, value in metrics.items()), left,
            )  # fmt: skip

    def log_predictions(self, number: int, segmenter: Segmenter, samples: Sequence[Sample]) -> None:
        """Add a picture of the predictions for some fixed frames of `samples` to TensorBoard."""
        if self._writer is not None:
            step = -(-len(samples) // FRAMES_PICTURED)
            sheet = prediction_sheet(segmenter, [samples[i] for i in range(0, len(samples), step)])
            with write_errors(self._curves):
                self._writer.add_image('predictions', sheet, number, dataformats='HWC')

    def _write(self, records: Iterable[Mapping[str, float]]) -> None:
        write_file(self._path, ''.join(json.dumps(record) + '\n' for record in records))


def _report_thread_error(
    arguments: threading.ExceptHookArgs, report: Callable = threading.excepthook
) -> None:
    """Print no traceback for the thread of TensorBoard: its next caller gets the same error."""
    if not type(arguments.thread).__module__.startswith('tensorboard.'):
        report(arguments)


def prediction_sheet(segmenter: Segmenter, samples: Iterable[Sample]) -> np.ndarray:
    """(H, W, 3) uint8: a row with colour, depth, truth and prediction for each frame."""
    rows, captions = [], []
    for sample in samples:
        rgb, palette = sample.frame.rgb, segmenter.palette
        predicted = segmenter.segment(sample.frame).labels
        masks = (overlay_image(rgb, labels, palette) for labels in (sample.labels, predicted))
        rows.append([rgb, depth_to_rgb(sample.frame.depth_m), *masks])
        captions.append(sample.id)
    return contact_sheet(rows, PICTURE_COLUMNS, captions)


def _records(path: Path) -> list[dict[str, float]]:
    """The complete records of a log; empty if there is no log."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(errors='replace').splitlines():
        # A killed run can leave an incomplete line, a disk other bytes.
        with suppress(ValueError, RecursionError):
            record = json.loads(line)
            if isinstance(record, dict) and isinstance(record.get('epoch'), int):
                records.append(record)
    return records
