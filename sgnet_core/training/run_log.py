# SPDX-License-Identifier: Apache-2.0
"""What a run says while it runs: progress, a JSON line an epoch, curves and pictures.

In the output folder: `log.jsonl`, and `tensorboard/` where TensorBoard is installed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from sgnet_core.errors import SgnetError
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.io.files import atomic_write
from sgnet_core.types import Sample
from sgnet_core.visualization.drawing import depth_to_rgb, overlay
from sgnet_core.visualization.figures import contact_sheet

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_FILE, CURVES_FOLDER = 'log.jsonl', 'tensorboard'
FRAMES_PICTURED = 4
PICTURE_COLUMNS = ('colour', 'depth', 'truth', 'prediction')

logger = logging.getLogger(__name__)


class RunLog:
    """The run_log of one run; a context that ends the bar and closes the files."""

    def __init__(self, out: Path, epochs: int, images: int, done: int = 0) -> None:
        """Go on after `done` epochs: what was written of later ones, or by half, is taken out.

        Args:
            out: folder of the run; it exists.
            epochs: of the whole run.
            images: seen in one epoch.
            done: epochs that are behind the run already.

        Raises:
            SgnetError: the log cannot be written.
        """
        self._log, self._epochs = out / LOG_FILE, epochs
        self._status = {'epoch': f'{done + 1}/{epochs}'}
        self._keep_records(done)
        self._curves = _curves(out / CURVES_FOLDER, done)
        # Without smoothing: the time left then counts the evaluations, too.
        self._bar = tqdm(
            desc='train', total=epochs * images, initial=done * images, unit='image',
            smoothing=0, disable=None, leave=False,
        )  # fmt: skip
        self._since, self._started = done, time.monotonic()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
        if self._curves is not None:
            self._curves.close()

    def update_progress(self, images: int, loss: float) -> None:
        """Move the bar by a batch; `loss` is the mean of the epoch so far."""
        self._status['loss'] = f'{loss:.3f}'
        self._bar.set_postfix(self._status, refresh=False)
        self._bar.update(images)

    def log_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Write what epoch `number`, counted from 1, came to.

        Raises:
            SgnetError: the log cannot be written.
        """
        try:
            with self._log.open('a') as file:
                file.write(json.dumps({'epoch': number, **metrics}) + '\n')
        except OSError as error:
            raise SgnetError(f'{self._log} cannot be written: {error.strerror}') from error
        self._show(metrics, number + 1)
        if self._curves is not None:
            for name, value in metrics.items():
                self._curves.add_scalar(name, value, number)
            self._curves.flush()
        seconds = (time.monotonic() - self._started) / (number - self._since)
        left = timedelta(seconds=round(seconds * (self._epochs - number)))
        with tqdm.external_write_mode():
            logger.info(
                'epoch %d/%d, %s, %s left', number, self._epochs,
                ', '.join(f'{name} {value:.4g}' for name, value in metrics.items()), left,
            )  # fmt: skip

    def log_predictions(self, number: int, segmenter: Segmenter, samples: Sequence[Sample]) -> None:
        """Show TensorBoard what the network makes of labelled frames after epoch `number`.

        Some frames are drawn, always the same, from all over `samples`.
        """
        if self._curves is not None:
            step = -(-len(samples) // FRAMES_PICTURED)
            sheet = prediction_sheet(segmenter, [samples[i] for i in range(0, len(samples), step)])
            self._curves.add_image('predictions', sheet, number, dataformats='HWC')

    def _keep_records(self, done: int) -> None:
        """Take lines out of the log that are no record of the first `done` epochs."""
        records = [record for record in _records(self._log) if record['epoch'] <= done]
        for record in records:
            self._show(record, done + 1)
        try:
            with atomic_write(self._log) as partial:
                partial.write_text(''.join(json.dumps(record) + '\n' for record in records))
        except OSError as error:
            raise SgnetError(f'{self._log} cannot be written: {error.strerror}') from error

    def _show(self, metrics: Mapping[str, float], running: int) -> None:
        """What the bar says beside the loss: the running epoch and the last mIoU."""
        self._status['epoch'] = f'{min(running, self._epochs)}/{self._epochs}'
        if 'miou' in metrics:
            self._status['mIoU'] = f'{metrics["miou"]:.4f}'


def prediction_sheet(segmenter: Segmenter, samples: Iterable[Sample]) -> np.ndarray:
    """(H, W, 3) uint8: a row for each frame of its colour, depth, truth and prediction."""
    rows, captions = [], []
    for sample in samples:
        rgb, palette = sample.frame.rgb, segmenter.palette
        predicted = segmenter.segment(sample.frame).labels
        rows.append(
            [
                rgb,
                depth_to_rgb(sample.frame.depth_m),
                overlay(rgb, sample.labels, palette),
                overlay(rgb, predicted, palette),
            ]
        )
        captions.append(sample.id)
    return contact_sheet(rows, PICTURE_COLUMNS, captions)


def _records(path: Path) -> list[dict[str, float]]:
    """The whole lines of a log; none where there is no log."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            # The run was killed while it wrote this one.
            continue
        if isinstance(record, dict) and 'epoch' in record:
            records.append(record)
    return records


def _curves(folder: Path, done: int) -> SummaryWriter | None:
    """A TensorBoard writer after `done` epochs, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.info('no curves and pictures: for them, pip install tensorboard')
        return None
    return SummaryWriter(folder, purge_step=done + 1)
