# SPDX-License-Identifier: Apache-2.0
"""What one epoch shows the network: training samples and generated rooms, in whole batches.

Every view is drawn from (seed, epoch, position) alone, so a resumed run sees what an uninterrupted
one would have seen, whatever the number of loading processes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from sgnet_core.data.folder import FolderDataset
from sgnet_core.data.rooms import RoomDataset
from sgnet_core.data.sample import Sample
from sgnet_core.errors import DataError
from sgnet_core.input_spec import InputSpec
from sgnet_core.labels import NYU40
from sgnet_core.training.augment import augment
from sgnet_core.training.config import TrainConfig

FRAMES_PER_ROOM = 3
# Slow enough that the views of one room differ.
ROOMS_RATE_HZ = 1.0
# Far from the seeds people type: the rooms of a demo or a test were never trained on.
ROOMS_SEED = 1_000_000


class TrainingViews(Dataset):
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

    def furnish(self) -> None:
        """Generate the rooms; takes a while, and is needed before the first view."""
        self._rooms = _generate_rooms(self._config)

    def __len__(self) -> int:
        """Views per epoch."""
        return len(self._data) + self._config.room_frames

    def __getitem__(self, address: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor] | DataError:
        epoch, position = address
        config = self._config
        rng = np.random.default_rng((config.seed, epoch, position))
        try:
            sample = self._sample(position)
        except DataError as error:
            # Raised here, it would come out of a loading process as a traceback.
            return error
        return augment(sample, self._spec, config.crop_size, config.scale, rng)

    def _sample(self, position: int) -> Sample:
        real = len(self._data)
        return self._data[position] if position < real else self._rooms[position - real]


class EpochOrder(Sampler):
    """Shuffled addresses of one epoch, whole batches only; the same for the same (seed, epoch)."""

    def __init__(self, views: int, config: TrainConfig, epoch: int) -> None:
        self._length = views // config.batch_size * config.batch_size
        self._views, self._seed, self._epoch = views, config.seed, epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self._seed, self._epoch)).permutation(self._views)
        return iter([(self._epoch, int(position)) for position in order[: self._length]])


def stack(views: list[tuple[Tensor, Tensor, Tensor] | DataError]) -> list[Tensor] | DataError:
    """A batch, or the first thing that is wrong with the data."""
    for view in views:
        if isinstance(view, DataError):
            return view
    return [torch.stack(tensors) for tensors in zip(*views, strict=True)]


def epoch_loader(views: TrainingViews, config: TrainConfig, epoch: int, workers: int) -> DataLoader:
    """Batches of one epoch (see `stack`), prepared by `workers` processes."""
    return DataLoader(
        views,
        config.batch_size,
        sampler=EpochOrder(len(views), config, epoch),
        num_workers=workers,
        collate_fn=stack,
        pin_memory=torch.cuda.is_available(),
    )


def class_weights(data: FolderDataset, exponent: float) -> Tensor | None:
    """(C,) float32, frequency ** -exponent, such that the average pixel weighs 1; None for 0."""
    if exponent == 0:
        return None
    classes = len(data.class_names)
    counts = np.zeros(classes, np.int64)
    for sample in data:
        counts += np.bincount(sample.labels[sample.labels < classes], minlength=classes)
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
    return list(tqdm(rooms, 'furnish rooms', unit='frame', disable=None, leave=False))
