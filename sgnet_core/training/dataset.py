# SPDX-License-Identifier: Apache-2.0
"""Training batches: augmented crops of dataset frames.

A crop depends only on (seed, epoch, position). A resumed run therefore sees the same crops as an
uninterrupted one, with any number of loader processes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress

import torch
import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.errors import ConfigError, DataError
from sgnet_core.preprocessing import InputSpec
from sgnet_core.runtime.distributed import SINGLE_PROCESS, DistributedContext
from sgnet_core.training.augmentation import augment
from sgnet_core.training.config import TrainConfig

MAX_ATTEMPTS = 10
"""Frames tried until one can be read."""
MAX_UNREADABLE_SHARE = 0.01

Item = tuple[tuple[Tensor, Tensor, Tensor] | None, list[str]]
"""The result of `augment`, None if no frame can be read, and the errors of unreadable frames."""

logger = logging.getLogger(__name__)


class TrainingDataset(Dataset):
    """Augmented crops, addressed by (epoch, position), see `augment`."""

    def __init__(self, data: FolderDataset, spec: InputSpec, config: TrainConfig) -> None:
        """Raise DataError if the data has no labels."""
        if not data.has_labels:
            raise DataError(f'{data.root} has no labels to train on')
        self._data, self._spec, self._config = data, spec, config

    def __len__(self) -> int:
        """Number of crops in an epoch."""
        return len(self._data)

    def __getitem__(self, address: tuple[int, int]) -> Item:
        """A crop, from another frame if the addressed one cannot be read, and the errors."""
        epoch, position = address
        config = self._config
        rng = np.random.default_rng((config.seed, epoch, position))
        problems: list[str] = []
        while len(problems) < MAX_ATTEMPTS:
            try:
                sample, source = self._data[position], None
                # Probability 0 draws no number, so crops of older settings do not change.
                if config.paste_probability and rng.random() < config.paste_probability:
                    source = self._data[int(rng.integers(len(self)))]
            except DataError as error:
                problems.append(str(error))
                position = int(rng.integers(len(self)))
            else:
                return augment(sample, self._spec, config, rng, source), problems
        # An exception would leave the loader process as a traceback.
        return None, problems


def epoch_addresses(
    crops: int, config: TrainConfig, epoch: int, distributed: DistributedContext = SINGLE_PROCESS
) -> list[tuple[int, int]]:
    """Shuffled addresses of the share of this process in each batch; whole batches only.

    All processes together see the same batches as a single process.
    """
    order = np.random.default_rng((config.seed, epoch)).permutation(crops)
    order = order[: crops // config.batch_size * config.batch_size]
    share = config.batch_size // distributed.world_size
    shares = order.reshape(-1, distributed.world_size, share)
    return [(epoch, int(i)) for i in shares[:, distributed.rank].ravel()]


def collate(items: list[Item]) -> tuple[list[Tensor], list[str]]:
    """A batch and the errors of its frames; without tensors if a crop is missing."""
    problems = [problem for _, errors in items for problem in errors]
    crops = [crop for crop, _ in items if crop is not None]
    if len(crops) < len(items):
        return [], problems
    return [torch.stack(tensors) for tensors in zip(*crops, strict=True)], problems


def skip_unreadable(loader: DataLoader, crops: int) -> Iterator[list[Tensor]]:
    """The batches of a loader; logs each unreadable frame once.

    Raises:
        DataError: more than `MAX_UNREADABLE_SHARE` of all `crops` cannot be read.
    """
    unreadable: set[str] = set()
    for batch, problems in loader:
        for problem in problems:
            if problem not in unreadable:
                unreadable.add(problem)
                logger.warning('skipped: %s', problem)
        if not batch or len(unreadable) > MAX_UNREADABLE_SHARE * crops:
            raise DataError(
                f'{len(unreadable)} of {crops} frames cannot be read, more than '
                f'{MAX_UNREADABLE_SHARE:.0%}; repair them or remove their ids from the split; the '
                f'last error: {problems[-1]}'
            )
        yield batch


def check_batch_size(config: TrainConfig, crops: int, processes: int) -> None:
    """Raise ConfigError if the batch exceeds an epoch or cannot be divided by the processes."""
    if crops < config.batch_size:
        raise ConfigError(
            f'{crops} frames are less than one batch; set batch_size to {crops} or less'
        )
    if config.batch_size % processes:
        raise ConfigError(
            f'batch_size {config.batch_size} cannot be divided by {processes} processes; make it a '
            f'multiple of {processes}'
        )


def epoch_loader(
    dataset: TrainingDataset,
    config: TrainConfig,
    epoch: int,
    workers: int,
    distributed: DistributedContext = SINGLE_PROCESS,
) -> DataLoader:
    """Batches of one epoch (see `collate`), loaded by `workers` processes for each rank."""
    return DataLoader(
        dataset,
        config.batch_size // distributed.world_size,
        sampler=epoch_addresses(len(dataset), config, epoch, distributed),
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
    )


def class_weights(data: FolderDataset, exponent: float) -> Tensor | None:
    """(C,) float32 frequency ** -exponent, with mean 1 over all pixels; None for exponent 0."""
    if exponent == 0:
        return None
    classes = len(data.class_names)
    counts = np.zeros(classes, np.int64)
    for sample_id in data.ids:
        # The loader reports unreadable frames.
        with suppress(DataError):
            labels = data.load_labels(sample_id)
            counts += np.bincount(labels[labels < classes], minlength=classes)
    frequency = np.maximum(counts, 1) / counts.sum()
    weights = frequency**-exponent
    return torch.from_numpy(weights / (weights * frequency).sum()).float()
