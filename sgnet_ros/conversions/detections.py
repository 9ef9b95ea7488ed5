# SPDX-License-Identifier: Apache-2.0
"""Objects as vision_msgs/Detection3DArray."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from std_msgs.msg import Header

from sgnet_core.geometry.objects import SceneObject
from sgnet_ros.compat.ros_api import vision_msgs


def objects_to_msg(
    objects: Iterable[SceneObject], class_names: Sequence[str], header: Header
) -> Any:
    """vision_msgs/Detection3DArray; `class_id` is the name of the class. Needs `vision_msgs`."""
    array = vision_msgs.Detection3DArray(header=header)
    for item in objects:
        detection = vision_msgs.Detection3D(header=header)
        result = vision_msgs.ObjectHypothesisWithPose()
        result.hypothesis.class_id = class_names[item.class_id]
        result.hypothesis.score = item.score
        for pose in (detection.bbox.center, result.pose.pose):
            _set_xyz(pose.position, item.center_m)
            pose.orientation.w = 1.0
        _set_xyz(detection.bbox.size, item.size_m)
        detection.results = [result]
        array.detections.append(detection)
    return array


def _set_xyz(target: Any, values: Iterable[float]) -> None:
    target.x, target.y, target.z = map(float, values)
