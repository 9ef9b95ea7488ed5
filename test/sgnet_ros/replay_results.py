# SPDX-License-Identifier: Apache-2.0
"""Results of a replay of five frames."""

import numpy as np

from sgnet_core.labels import NYU40
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.writer import START_NS
from sgnet_ros.replay.mask_subscriber import ReceivedMask
from sgnet_ros.replay.result import ReplayResult

STAMPS = [START_NS + round(index * 1e9 / 30) for index in range(5)]


def mask(labels=None, latency_ms=10.0, arrived_s=0.0):
    labels = np.zeros((24, 36), np.uint8) if labels is None else labels
    return ReceivedMask(lambda: labels, latency_ms, arrived_s)


def replay_result(received, class_names=NYU40.class_names, stamps=STAMPS, **node):
    """The frames were sent 1000 s later than recorded; `node` replaces counts of the node."""
    counts = {
        'received': {'rgb': 5, 'depth': 5, 'camera_info': 5},
        'pairs': len(stamps),
        'masks': len(received),
        'dropped': {},
        'processing_ms': None,
        **node,
    }
    played = {'messages': {FrameTopics().rgb: len(stamps), '/other/rgb': 3}}
    sent = {stamp: stamp + 1_000_000_000_000 for stamp in stamps}
    return ReplayResult(received, class_names, {'network': 'a network'}, played, counts, sent)
