# SPDX-License-Identifier: Apache-2.0
"""Builds frames from pairs of messages: conversion, registration, gravity."""

from __future__ import annotations

import dataclasses

import torch
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sgnet_core.geometry.depth_registration import register_depth
from sgnet_core.types import CameraIntrinsics, RgbdFrame
from sgnet_ros.conversions.images import (
    images_from_msgs,
    naming_stream,
    registered_frame,
    stamp_ns,
)
from sgnet_ros.conversions.plausibility import FrameChecks
from sgnet_ros.conversions.poses import extrinsics
from sgnet_ros.input.gravity_source import GravitySource
from sgnet_ros.input.tf_lookup import NoTransformError, TfLookup
from sgnet_ros.node_parameters import NodeParameters
from sgnet_ros.parameters import TEMPORAL_OFF
from sgnet_ros.topics import DEPTH, topic_text

FROM_TF = [0.0] * 7
"""`depth.extrinsics` that select TF; not a valid pose."""


class FrameBuilder:
    """Builds frames for one thread, from construction until `close()`.

    Args:
        device: the device that registers depth.

    Attributes:
        checks: logs implausible inputs.

    Raises:
        ConfigError: `depth.extrinsics` is not a pose, or TF is needed without tf2_ros.
        InputError: `hha.gravity_vector` is not a direction.
    """

    def __init__(self, node: Node, parameters: NodeParameters, device: str) -> None:
        self.checks = FrameChecks(
            lambda stream, text: node.get_logger().warning(f'{topic_text(node, stream)}: {text}'),
            'the parameter depth.scale',
        )
        self._parameters = parameters
        self._device = device
        pose = parameters['depth.extrinsics']
        self._extrinsics = None if pose == FROM_TF else extrinsics(pose, 'depth.extrinsics')
        from_tf = parameters['depth.register'] and self._extrinsics is None
        needs_tf = from_tf or parameters['hha.gravity_source'] == 'tf'
        if parameters['temporal.mode'] != TEMPORAL_OFF:
            needs_tf |= TfLookup.is_installed()
        self._tf = TfLookup(node) if needs_tf else None
        self._logger = node.get_logger()
        self._has_warned = False
        self._gravity = GravitySource(parameters, self._tf)
        self._newest_ns = 0

    def close(self) -> None:
        """Stop listening to TF."""
        if self._tf is not None:
            self._tf.close()

    def build(
        self,
        image: Image,
        depth: Image,
        intrinsics: CameraIntrinsics,
        depth_intrinsics: CameraIntrinsics | None = None,
    ) -> RgbdFrame:
        """The frame of a pair, without gravity.

        Args:
            depth_intrinsics: needed for `depth.register`; else they show whether depth is
                registered.

        Raises:
            MessageError: a message is invalid, their sizes differ, or TF has no transform.
        """
        now_ns = stamp_ns(image.header)
        if now_ns < self._newest_ns:  # time has jumped back
            self._gravity.reset()
            if self._tf is not None:
                self._tf.clear()
        self._newest_ns = now_ns
        parameters = self._parameters
        rgb, depth_m = images_from_msgs(
            image, depth, parameters['depth.scale'], parameters.depth_range_m
        )
        self.checks.depth(depth, parameters['depth.scale'])
        if parameters['depth.register']:
            rgb_from_depth = self._rgb_from_depth(image.header, depth.header)
            measured = torch.from_numpy(depth_m).to(self._device)
            with naming_stream(DEPTH):
                registered = register_depth(measured, depth_intrinsics, intrinsics, rgb_from_depth)
            depth_m = registered.cpu().numpy()
        else:
            self.checks.registration(image.header, depth.header, intrinsics, depth_intrinsics)
        return registered_frame(rgb, depth_m, intrinsics)

    def with_gravity(self, frame: RgbdFrame, header: Header) -> RgbdFrame:
        """`frame` with gravity; `header` is that of its colour image.

        Raises:
            NoTransformError: TF has no transform.
        """
        return dataclasses.replace(frame, gravity=self._gravity.gravity(frame, header))

    def pose(self, header: Header) -> np.ndarray | None:
        """The pose (4, 4) of the camera in `temporal.fixed_frame` at the stamp of the colour image.

        None if TF does not know it; the log says so once.
        """
        reason = 'tf2_ros is not installed'
        if self._tf is not None:
            try:
                fixed_frame = self._parameters['temporal.fixed_frame']
                return self._tf.lookup(fixed_frame, header.frame_id, stamp_ns(header))
            except NoTransformError as error:
                reason = f'{error}; publish it, or set temporal.fixed_frame'
        if not self._has_warned:
            self._logger.warning(f'temporal.mode: the camera is taken to stand still: {reason}')
        self._has_warned = True
        return None

    def describe(self) -> dict[str, str]:
        """A readable description of the geometry."""
        known = {}
        if (gravity := self._gravity.latest) is not None:
            known['gravity.down'] = ' '.join(f'{axis:.3f}' for axis in gravity.down)
            if gravity.camera_height_m is not None:
                known['gravity.camera_height_m'] = f'{gravity.camera_height_m:.2f}'
        if self._tf is not None:
            known['tf.not_at_stamp'] = str(self._tf.not_at_stamp)
        return known

    def _rgb_from_depth(self, rgb: Header, depth: Header) -> np.ndarray:
        if self._extrinsics is not None:
            return self._extrinsics
        try:
            return self._tf.lookup(rgb.frame_id, depth.frame_id, stamp_ns(rgb))
        except NoTransformError as error:
            raise NoTransformError(
                f'{error}; publish it, or give depth.extrinsics', DEPTH
            ) from error
