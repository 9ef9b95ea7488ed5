# SPDX-License-Identifier: Apache-2.0
"""Videos with legends, and names inside regions."""

import cv2
import numpy as np
import pytest

from sgnet_core.labels import NYU40
from sgnet_core.visualization.region_names import write_region_names
from sgnet_core.visualization.video import mask_video

MIRROR, WINDOW = map(NYU40.class_names.index, ('mirror', 'window'))


@pytest.mark.parametrize('size', [(96, 128), (97, 131)])
def test_video_has_all_pictures_and_the_legend(tmp_path, size):
    rng = np.random.default_rng(5)
    pictures = [np.full((*size, 3), value, np.uint8) for value in rng.integers(0, 256, (4, 3))]
    labels = np.full(size, WINDOW, np.uint8)
    with mask_video(tmp_path / 'a.mp4', 5.0, NYU40.class_names, NYU40.palette) as add:
        for picture in pictures:
            add(picture, labels)
        add(pictures[0][::2], labels[::2])  # a frame of another size
    video = cv2.VideoCapture(str(tmp_path / 'a.mp4'))
    codec = int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, 'little')
    assert codec == b'VP90'
    assert video.get(cv2.CAP_PROP_FPS) == 5
    frames = [frame for ok, frame in iter(video.read, (False, None)) if ok]
    assert len(frames) == 5
    for frame, picture in zip(frames, pictures, strict=False):
        assert frame.shape[0] > size[0]
        np.testing.assert_allclose(frame[40, 60, ::-1], picture[0, 0], atol=12)
        below = frame[size[0] + 2 :, :, ::-1].astype(int) - NYU40.palette[WINDOW]
        assert np.abs(below).max(-1).min() < 25, 'the colour of the class'


def test_no_picture_is_no_file(tmp_path):
    with mask_video(tmp_path / 'a.mp4', 5.0, NYU40.class_names, NYU40.palette):
        pass
    assert not (tmp_path / 'a.mp4').exists()


def test_names_stand_inside_their_regions_and_small_ones_get_none():
    labels = np.full((120, 320), 255, np.uint8)
    labels[:, :100], labels[:, 110:210], labels[50:60, 300:310] = MIRROR, WINDOW, MIRROR
    white = write_region_names(np.zeros((*labels.shape, 3), np.uint8), labels, NYU40.class_names)
    columns = np.flatnonzero(white.any((0, 2)))
    first, second = columns[columns < 105], columns[columns > 105]
    assert columns.max() < 210
    for written, left, right in ((first, 0, 100), (second, 110, 210)):
        assert left < written.min() and written.max() < right
        assert abs(written.min() + written.max() - left - right) < 20
    assert not np.array_equal(white[:, :100], white[:, 110:210]), 'different names'
