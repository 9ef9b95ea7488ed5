# SPDX-License-Identifier: Apache-2.0
"""Reads the RGB-D frames of a bag as samples; reproducible, without DDS."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from std_msgs.msg import Header

from sgnet_core.errors import DataError, InputError
from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.labels import FolderLabels, Labels, TopicLabels
from sgnet_ros.bag.reader import COMPRESSED_IMAGE, IMAGE, Bag, BagMessage, header_stamp_ns
from sgnet_ros.bag.transforms import BagTransforms
from sgnet_ros.conversions.camera_info import (
    camera_info_to_msg,
    camera_info_topics,
    intrinsics_from_msg,
    is_rectified,
)
from sgnet_ros.conversions.compressed_images import decompressed_pair
from sgnet_ros.conversions.images import (
    images_from_msgs,
    naming_stream,
    registered_frame,
)
from sgnet_ros.conversions.plausibility import FrameChecks
from sgnet_ros.sync.pairing import DEFAULT_SLOP_S, RgbdPairing
from sgnet_ros.topics import CAMERA_INFO, DEPTH, DEPTH_CAMERA_INFO, RGB

_logger = logging.getLogger(__name__)

CAMERA_OPTION = '--camera fx,fy,cx,cy'
QUEUE_SIZE = 64
"""Messages of a stream that wait for the other stream; recorders write in bursts."""
_HOUR_NS = 3_600_000_000_000


class BagFrames:
    """The frames of a bag in order of their stamps, paired as in the node.

    With labels, frames without labels are left out, unless `transforms` give poses. Each iteration
    reads the bag again.

    Args:
        camera: fx, fy, cx, cy; replaces camera_info.
        sync_mode, slop_s: like the node parameters `sync.mode` and `sync.slop`.
        skip_invalid: skip invalid frames instead of raising DataError.
        rgb_from_depth: (4, 4) transform to register depth; None = depth is registered.
        depth_scale: metres per unit of depth; 0 = by encoding.
        labels: replaces the label topic of the bag.
        transforms: give each sample its pose if known; None = samples have no pose.

    Attributes:
        pairs: number of colour and depth pairs so far.
        unlabelled: number of these pairs without labels.
        unstamped: topics with a stamp of zero; these messages are not paired.
        skipped: the error of each skipped frame.

    Raises:
        DataError: a topic is missing or of another type, or the camera is unknown.
    """

    def __init__(
        self,
        bag: Bag,
        topics: FrameTopics | None = None,
        camera: tuple[float, float, float, float] | None = None,
        sync_mode: str = 'auto',
        slop_s: float = DEFAULT_SLOP_S,
        skip_invalid: bool = False,
        rgb_from_depth: np.ndarray | None = None,
        labels: FolderLabels | None = None,
        depth_scale: float = 0.0,
        transforms: BagTransforms | None = None,
    ) -> None:
        self._bag = bag
        self._transforms = transforms
        self._depth_scale = depth_scale
        self._checks = FrameChecks(self._warn, '--depth-scale')
        self._rgb_from_depth = rgb_from_depth
        self._skip_invalid = skip_invalid
        self.topics = topics = topics or FrameTopics()
        self._camera = camera
        self._new_sync = lambda: RgbdPairing(slop_s, QUEUE_SIZE, sync_mode)
        self._new_sync()  # checks mode and slop
        for name in (topics.rgb, topics.depth):
            bag.topic(name, IMAGE, COMPRESSED_IMAGE)
        if labels is None and topics.labels is not None:
            labels = TopicLabels(bag, topics)
        self.labels: Labels | None = labels
        self._first_intrinsics = self._depth_intrinsics = None
        if not camera:
            with _camera_option_named():
                self._first_intrinsics = self._first_on(topics.camera_info, topics.rgb, CAMERA_INFO)
        if rgb_from_depth is not None:
            depth_info = topics.depth_camera_info
            self._depth_intrinsics = self._first_on(depth_info, topics.depth, DEPTH_CAMERA_INFO)
        self._next_to_depth = self._intrinsics_next_to_depth()
        self._reset()

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes of the labels, if known."""
        return None if self.labels is None else self.labels.class_names

    def __length_hint__(self) -> int:
        """The largest possible number of samples."""
        counts = [self._bag.topics[name].count for name in (self.topics.rgb, self.topics.depth)]
        return min(counts if self.labels is None else [*counts, len(self.labels)])

    def __iter__(self) -> Iterator[Sample]:
        self._reset()
        topics, sync, newest_ns = self.topics, self._sync, 0
        for message in self._bag.messages({topics.rgb, topics.depth, topics.camera_info}):
            if message.topic != topics.camera_info:
                stamp_ns = header_stamp_ns(message.cdr)
                if stamp_ns == 0:
                    self.unstamped.add(message.topic)
                    sync.dropped['zero_stamp'] += 1
                    continue
                newest_ns = stamp_ns
                add = sync.add_rgb if message.topic == topics.rgb else sync.add_depth
                yield from self._samples(add(newest_ns, message))
            elif not self._camera:
                with _camera_option_named():
                    self._intrinsics = self._intrinsics_of(message, topics.rgb, CAMERA_INFO)
        # Some pairs still wait for a nearer stamp.
        end_ns = newest_ns + _HOUR_NS
        pairs = sync.add_rgb(end_ns, None) + sync.add_depth(end_ns, None)
        yield from self._samples([pair for pair in pairs if pair != (None, None)])

    def _reset(self) -> None:
        self._sync = self._new_sync()
        self._intrinsics = self._first_intrinsics
        self.pairs = 0
        self.unlabelled = 0
        self.skipped: list[str] = []
        self.unstamped: set[str] = set()

    @property
    def dropped(self) -> Counter[str]:
        """Cause -> number of messages without a pair."""
        return self._sync.dropped

    def _samples(self, pairs: list[tuple[Any, Any]]) -> Iterator[Sample]:
        for rgb, depth in pairs:
            stamp_ns, index = header_stamp_ns(rgb.cdr), self.pairs
            self.pairs += 1
            if self.labels is not None and not self.labels.has_frame(stamp_ns, index):
                self.unlabelled += 1
                if self._transforms is None:
                    continue
            try:
                sample = self._sample(stamp_ns, index, rgb, depth)
            except DataError as error:
                if not self._skip_invalid:
                    raise
                self.skipped.append(str(error))
            else:
                yield sample

    def _sample(self, stamp_ns: int, index: int, rgb: BagMessage, depth: BagMessage) -> Sample:
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        sample_id = f'{seconds}.{nanoseconds:09d}'
        try:
            image, depth_image = decompressed_pair(*map(self._bag.deserialize, (rgb, depth)))
            size = int(image.width), int(image.height)
            intrinsics = self._intrinsics or self._given_intrinsics(*size)
            frame = self._frame(image, depth_image, intrinsics)
            labels = pose = None
            if self.labels is not None and self.labels.has_frame(stamp_ns, index):
                labels = self.labels.load(stamp_ns, index)
            if self._transforms is not None:
                pose = self._transforms.pose(image.header.frame_id, stamp_ns)
            return Sample(sample_id, frame, labels, pose)
        except DataError:
            raise
        except InputError as error:
            topics = {RGB: f', {self.topics.rgb}', DEPTH: f', {self.topics.depth}'}
            topic = topics.get(getattr(error, 'stream', ''), '')
            raise DataError(f'{self._bag.path}: frame {sample_id}{topic}: {error}') from error

    def _frame(self, image: Any, depth: Any, intrinsics: CameraIntrinsics) -> RgbdFrame:
        rgb, depth_m = images_from_msgs(image, depth, self._depth_scale)
        self._checks.depth(depth, self._depth_scale)
        if self._depth_intrinsics is not None:
            # Most bags are read without torch.
            from sgnet_core.geometry.depth_registration import register_depth

            with naming_stream(DEPTH):
                depth_m = register_depth(
                    depth_m, self._depth_intrinsics, intrinsics, self._rgb_from_depth
                )
        else:
            # Later messages may be those of another mode of the camera.
            same_mode = self._first_intrinsics in (None, intrinsics)
            known = self._next_to_depth if same_mode else None
            self._checks.registration(image.header, depth.header, intrinsics, known)
        return registered_frame(rgb, depth_m, intrinsics)

    def _first_on(self, name: str, image_topic: str, stream: str = '') -> CameraIntrinsics:
        self._bag.topic(name, 'sensor_msgs/msg/CameraInfo')
        first = next(self._bag.messages([name]), None)
        if first is None:
            raise DataError(f'{self._bag.path}: no message on {name}')
        return self._intrinsics_of(first, image_topic, stream)

    def _intrinsics_of(
        self, message: BagMessage, image_topic: str, stream: str
    ) -> CameraIntrinsics:
        """The camera of a message; the `stream` of a camera that is used is checked."""
        info, rectified = self._bag.deserialize(message), is_rectified(image_topic)
        try:
            intrinsics = intrinsics_from_msg(info, rectified)
        except InputError as error:
            raise DataError(f'{self._bag.path}: {message.topic}: {error}') from error
        if stream:
            self._checks.camera(stream, info, rectified)
        return intrinsics

    def _intrinsics_next_to_depth(self) -> CameraIntrinsics | None:
        """The camera of depth from the camera_info next to its topic, if it is valid."""
        for name in camera_info_topics(self.topics.depth):
            with suppress(InputError):
                return self._first_on(name, self.topics.depth)
        return None

    def _given_intrinsics(self, width: int, height: int) -> CameraIntrinsics:
        """The camera of `--camera` for images of this size."""
        info = camera_info_to_msg(CameraIntrinsics(width, height, *self._camera), Header())
        intrinsics = intrinsics_from_msg(info)
        self._checks.camera(CAMERA_INFO, info)
        return intrinsics

    def _warn(self, stream: str, text: str) -> None:
        topics = self.topics
        names = {
            RGB: topics.rgb,
            DEPTH: topics.depth,
            CAMERA_INFO: '--camera' if self._camera else topics.camera_info,
            DEPTH_CAMERA_INFO: topics.depth_camera_info,
        }
        _logger.warning('%s: %s: %s', self._bag.path, names[stream], text)


@contextmanager
def _camera_option_named() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f'{error}; or set {CAMERA_OPTION}') from error


def stamp_of(sample: Sample) -> int:
    """The stamp in ns of a sample of `BagFrames`, from its id."""
    return int(sample.id.replace('.', ''))
