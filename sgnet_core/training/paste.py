# SPDX-License-Identifier: Apache-2.0
"""Things of one view put into another, in front of what is farther away.

ClassMix (Olsson et al., WACV 2021) takes half of the classes of an image and lays them over
another; DepthMix (Hoyer et al., CVPR 2021) lets depth decide what hides what. Here both, with
measured depth: what is pasted keeps its size in metres, and goes behind what is nearer.
"""

from __future__ import annotations

import numpy as np

from sgnet_core.types import UNLABELLED, RgbdFrame

Crop = tuple[RgbdFrame, np.ndarray]
"""A frame, and its (H, W) uint8 labels."""


def class_mix(crop: Crop, source: Crop, rng: np.random.Generator) -> Crop:
    """`crop` with half of the classes of `source`, a view of the same size, in random choice.

    The camera stays that of `crop`. Pixels of which either depth is unknown stay as they are.
    """
    (frame, labels), (other, other_labels) = crop, source
    present = np.unique(other_labels)
    present = present[present != UNLABELLED]
    chosen = np.zeros(UNLABELLED + 1, bool)
    chosen[rng.permutation(present)[: (len(present) + 1) // 2]] = True
    # Seen by another focal length, the same metres are as many pixels at another distance.
    zoom = np.float32(frame.intrinsics.fx / other.intrinsics.fx)
    depth_m = other.depth_m * zoom
    pasted = chosen[other_labels] & (depth_m < frame.depth_m)
    rgb = np.where(pasted[..., None], other.rgb, frame.rgb)
    depth_m = np.where(pasted, depth_m, frame.depth_m)
    return RgbdFrame(rgb, depth_m, frame.intrinsics), np.where(pasted, other_labels, labels)
