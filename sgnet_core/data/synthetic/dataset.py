# SPDX-License-Identifier: Apache-2.0
"""A data set of synthetic rooms: colour, exact depth, exact NYU 40 labels, known poses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from sgnet_core.data.depth_noise import kinect_depth
from sgnet_core.data.synthetic.camera import room_camera
from sgnet_core.data.synthetic.renderer import Room, build_room, render
from sgnet_core.errors import InputError
from sgnet_core.labels import NYU40
from sgnet_core.types import RgbdFrame, Sample

MAX_FRAMES = 1_000_000
"""Ids have six digits."""


@lru_cache(maxsize=4)
def _room(seed: int, number: int) -> Room:
    return build_room(np.random.default_rng([seed, number]))


class RoomDataset:
    """Frames of synthetic rooms, `frames_per_room` of each, read by index as in `FolderDataset`.

    Frame i depends on the arguments and i only, not on the frames read before. Other sizes show
    the same rooms from the same poses.
    """

    has_labels = True
    has_poses = True

    def __init__(
        self,
        frames: int,
        size: tuple[int, int] = (480, 640),
        seed: int = 0,
        frames_per_room: int = 30,
        sensor_noise: bool = False,
        rate_hz: float = 30.0,
    ) -> None:
        """`size` is (height, width); `sensor_noise` replaces exact depth by measured depth.

        Raises:
            InputError: a value is out of range.
        """
        for valid, message in (
            (1 <= frames <= MAX_FRAMES, f'frames must be 1 to {MAX_FRAMES}, got {frames}'),
            (
                min(size) >= 16 and max(size) <= 4096,
                f'size must be 16x16 to 4096x4096 (height x width), got {size}',
            ),
            (seed >= 0, f'seed must be 0 or more, got {seed}'),
            (frames_per_room >= 1, f'frames_per_room must be at least 1, got {frames_per_room}'),
            (0 < rate_hz < 1e6, f'rate_hz must be positive, got {rate_hz}'),
        ):
            if not valid:
                raise InputError(message)
        self.name = 'rooms'
        self.class_names = NYU40.class_names
        self.ids = tuple(f'{i:06d}' for i in range(frames))
        self.rate_hz = float(rate_hz)
        self.intrinsics = room_camera(size)
        self.seed = seed
        self.frames_per_room = frames_per_room
        self.sensor_noise = sensor_noise

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        """Frame `index`; negative ones count from the end."""
        index = range(len(self))[index]
        room = self.room(index)
        pose = room.trajectory.pose(index % self.frames_per_room / self.rate_hz)
        # Separate streams: colours must not depend on the noise of the depth.
        for_colour, for_depth = np.random.SeedSequence([self.seed, index, 1]).spawn(2)
        view = render(room, pose, self.intrinsics, np.random.default_rng(for_colour))
        depth_m = view.depth_m
        if self.sensor_noise:
            rng = np.random.default_rng(for_depth)
            depth_m = kinect_depth(depth_m, view.rgb, view.dropout, self.intrinsics, rng)
        frame = RgbdFrame(view.rgb, depth_m, self.intrinsics)
        return Sample(self.ids[index], frame, view.labels, pose)

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def room(self, index: int) -> Room:
        """The room of frame `index`."""
        return _room(self.seed, index // self.frames_per_room)
