# SPDX-License-Identifier: Apache-2.0
"""Objects with the fields of vision_msgs, whose package is optional."""

from types import SimpleNamespace

import numpy as np
from geometry_msgs.msg import Pose, PoseWithCovariance, Vector3
from std_msgs.msg import Header

from sgnet_core.geometry.objects import SceneObject
from sgnet_ros.conversions import detections


def message(**fields):
    """A class whose instances have these fields, made anew, or the arguments."""
    return lambda **given: SimpleNamespace(**{k: make() for k, make in fields.items()} | given)


def test_objects_have_the_fields_of_vision_msgs(monkeypatch):
    box = message(center=Pose, size=Vector3)
    hypothesis = message(class_id=str, score=float)
    package = SimpleNamespace(
        Detection3DArray=message(header=Header, detections=list),
        Detection3D=message(header=Header, results=list, bbox=box, id=str),
        ObjectHypothesisWithPose=message(hypothesis=hypothesis, pose=PoseWithCovariance),
    )
    monkeypatch.setattr(detections, 'vision_msgs', package)
    chair = SceneObject(1, 0.75, np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.6, 0.7]))
    header = Header(frame_id='camera')
    array = detections.objects_to_msg([chair], ('wall', 'chair'), header)
    (detection,) = array.detections
    (result,) = detection.results
    assert array.header == detection.header == header
    assert (result.hypothesis.class_id, result.hypothesis.score) == ('chair', 0.75)
    assert detection.bbox.center == result.pose.pose
    centre, size = detection.bbox.center.position, detection.bbox.size
    assert (centre.x, centre.y, centre.z) == (1.0, 2.0, 3.0)
    assert (size.x, size.y, size.z) == (0.5, 0.6, 0.7)
    assert detection.bbox.center.orientation.w == 1.0
