# SPDX-License-Identifier: Apache-2.0
"""What one epoch shows the network: training samples and generated rooms, in whole batches.

Every crop is drawn from (seed, epoch, position) alone, so a resumed run sees what an uninterrupted
one would have seen, whatever the number of loading processes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress

import torch
import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.data.synthetic import RoomDataset
from sgnet_core.errors import ConfigError, DataError
from sgnet_core.labels import NYU40
from sgnet_core.preprocessing import InputSpec
from sgnet_core.runtime.distributed import SINGLE_PROCESS, DistributedContext
from sgnet_core.training.augmentation import augment
from sgnet_core.training.config import TrainConfig
from sgnet_core.types import Sample

FRAMES_PER_ROOM = 3
# Slow enough that the frames of one room differ.
ROOMS_RATE_HZ = 1.0
# Far from the seeds people type: the rooms of a demo or a test were never trained on.
ROOMS_SEED = 1_000_000
REPLACEMENTS = 10
"""Frames tried in the place of one that cannot be read."""
MAX_UNREADABLE_SHARE = 0.01

Crop = tuple[tuple[Tensor, Tensor, Tensor] | None, list[str]]
"""Image, spatial information and labels as `augment` gives them, and what could not be read."""

logger = logging.getLogger(__name__)


class TrainingDataset(Dataset):
    """Augmented crops, addressed by (epoch, position); see `augment` for what one is."""

    def __init__(self, data: FolderDataset, spec: InputSpec, config: TrainConfig) -> None:
        """Raise DataError where the data have no labels, or other classes than the rooms."""
        if not data.has_labels:
            raise DataError(f'{data.root} has no labels to train on')
        if config.room_frames and data.class_names != NYU40.class_names:
            raise DataError(
                f'generated rooms have the 40 NYU classes, {data.root} has others; '
                'set room_frames: 0'
            )
        self._data, self._spec, self._config = data, spec, config
        self._rooms: list[Sample] = []

    def generate_rooms(self) -> None:
        """Generate the rooms; takes a while, and is needed before the first crop."""
        self._rooms = _generate_rooms(self._config)

    def __len__(self) -> int:
        """Crops per epoch."""
        return len(self._data) + self._config.room_frames

    def __getitem__(self, address: tuple[int, int]) -> Crop:
        """A crop, another one in the place of a frame that cannot be read, and what is wrong."""
        epoch, position = address
        config = self._config
        rng = np.random.default_rng((config.seed, epoch, position))
        problems: list[str] = []
        while len(problems) < REPLACEMENTS:
            try:
                sample, source = self._sample(position), self._source(rng)
            except DataError as error:
                problems.append(str(error))
                position = int(rng.integers(len(self)))
            else:
                return augment(sample, self._spec, config, rng, source), problems
        # Raised here, it would come out of a loading process as a traceback.
        return None, problems

    def _source(self, rng: np.random.Generator) -> Sample | None:
        probability = self._config.paste_probability
        # Without any, nothing is drawn: recipes from before see what they saw.
        if probability == 0 or rng.random() >= probability:
            return None
        return self._sample(int(rng.integers(len(self))))

    def _sample(self, position: int) -> Sample:
        real = len(self._data)
        return self._data[position] if position < real else self._rooms[position - real]


class EpochSampler(Sampler):
    """Shuffled addresses of this process's part of every batch; whole batches only.

    Together, the processes see the same batches whatever their number.
    """

    def __init__(
        self,
        crops: int,
        config: TrainConfig,
        epoch: int,
        distributed: DistributedContext = SINGLE_PROCESS,
    ) -> None:
        order = np.random.default_rng((config.seed, epoch)).permutation(crops)
        order = order[: crops // config.batch_size * config.batch_size]
        parts = order.reshape(
            -1, distributed.world_size, config.batch_size // distributed.world_size
        )
        self._addresses = [(epoch, int(i)) for i in parts[:, distributed.rank].ravel()]

    def __len__(self) -> int:
        return len(self._addresses)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._addresses)


def collate(crops: list[Crop]) -> tuple[list[Tensor], list[str]]:
    """A batch, and what could not be read for it; no tensors where it is not whole."""
    problems = [problem for _, of_crop in crops for problem in of_crop]
    whole = [crop for crop, _ in crops if crop is not None]
    if len(whole) < len(crops):
        return [], problems
    return [torch.stack(tensors) for tensors in zip(*whole, strict=True)], problems


def skip_unreadable(loader: DataLoader, crops: int) -> Iterator[list[Tensor]]:
    """The batches of a loader; each frame that cannot be read is named in the log, once.

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
                f'{MAX_UNREADABLE_SHARE:.0%}; mend them or leave their ids out; the last one: '
                f'{problems[-1]}'
            )
        yield batch


def check_batch_size(config: TrainConfig, crops: int, processes: int) -> None:
    """Raise ConfigError where the frames, the batch and the processes do not go together."""
    if crops < config.batch_size:
        raise ConfigError(
            f'{crops} frames are less than one batch; set batch_size below {config.batch_size}'
        )
    parts = processes * config.accumulate
    if config.batch_size % parts:
        raise ConfigError(
            f'batch_size {config.batch_size} cannot be shared by {processes} processes of '
            f'{config.accumulate} parts each; make it a multiple of {parts}'
        )


def epoch_loader(
    dataset: TrainingDataset,
    config: TrainConfig,
    epoch: int,
    workers: int,
    distributed: DistributedContext = SINGLE_PROCESS,
) -> DataLoader:
    """Batches of one epoch (see `collate`), prepared by `workers` processes for each of those."""
    return DataLoader(
        dataset,
        config.batch_size // distributed.world_size,
        sampler=EpochSampler(len(dataset), config, epoch, distributed),
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
    )


def class_weights(data: FolderDataset, exponent: float) -> Tensor | None:
    """(C,) float32, frequency ** -exponent, such that the average pixel weighs 1; None for 0."""
    if exponent == 0:
        return None
    classes = len(data.class_names)
    counts = np.zeros(classes, np.int64)
    for sample_id in data.ids:
        # What cannot be read is named when it is wanted for training.
        with suppress(DataError):
            labels = data.load_labels(sample_id)
            counts += np.bincount(labels[labels < classes], minlength=classes)
    frequency = np.maximum(counts, 1) / counts.sum()
    weights = frequency**-exponent
    return torch.from_numpy(weights / (weights * frequency).sum()).float()


def _generate_rooms(config: TrainConfig) -> list[Sample]:
    """Frames of generated rooms, 4:3 and about as large as the network's input.

    They are kept: furnishing a room takes longer than reading a photograph.
    """
    if config.room_frames == 0:
        return []
    height = config.input_size[0]
    rooms = RoomDataset(
        config.room_frames,
        size=(height, height * 4 // 3),
        seed=ROOMS_SEED + config.seed,
        frames_per_room=FRAMES_PER_ROOM,
        rate_hz=ROOMS_RATE_HZ,
    )
    return list(tqdm(rooms, 'generate rooms', unit='frame', disable=None, leave=False))
