# SPDX-License-Identifier: Apache-2.0
"""A snapshot is a complete data set of one frame, or nothing."""

import numpy as np
import pytest

from sgnet_core.errors import SgnetError
from sgnet_core.types import SegmentationResult
from sgnet_ros.node.snapshot import snapshot_folder, write_snapshot


@pytest.fixture
def sample(tiny_samples):
    return tiny_samples[3]


@pytest.fixture
def result(sample):
    confidence = np.full(sample.labels.shape, 0.5, np.float32)
    return SegmentationResult(sample.labels, confidence, ('a', 'b'))


def test_full_disk_leaves_no_folder(sample, result, tmp_path, file_size_limit):
    written = pytest.raises(SgnetError, match='one/image/17.png: cannot be written: File too large')
    with file_size_limit(2000), written:  # depth fits, colour does not
        write_snapshot(tmp_path / 'one', '17', sample.frame, result, {})
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_not_overwritten(sample, result, tmp_path):
    folder = tmp_path / 'one'
    folder.mkdir()
    (folder / 'mine').touch()
    with pytest.raises(SgnetError, match='one: cannot be written: Directory not empty'):
        write_snapshot(folder, '17', sample.frame, result, {})
    assert [path.name for path in tmp_path.iterdir()] == ['one']
    assert [path.name for path in folder.iterdir()] == ['mine']


@pytest.mark.parametrize(
    ('environment', 'parent', 'folder'),
    [
        ({'ROS_HOME': '/logs'}, '', '/logs/sgnet_snapshots'),
        ({'ROS_HOME': '', 'HOME': '/me'}, '', '/me/.ros/sgnet_snapshots'),
        ({'HOME': '/me'}, '~/snapshots', '/me/snapshots'),
    ],
)
def test_default_snapshot_folder_is_in_ros_home(monkeypatch, environment, parent, folder):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = snapshot_folder(parent, 'segmentation')
    assert (str(made.parent), made.name[:15]) == (folder, 'segmentation_20')
