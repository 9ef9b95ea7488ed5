# SPDX-License-Identifier: Apache-2.0
"""Time of the depth encodings: HHA, XYZ, normals, registration to the colour camera.

Depth is float32 metres and gravity is estimated. The sizes are --size and 240x320, 720x1280,
1080x1920. Memory is the resident memory of a process after 100 and after 1000 small frames.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import numpy as np
import study

from sgnet_core.benchmark.memory_process import in_fresh_process, memory_status
from sgnet_core.benchmark.synthetic_frames import Size, frame_from_images, synthetic_images
from sgnet_core.benchmark.timing import Call
from sgnet_core.geometry.depth_registration import register_depth
from sgnet_core.geometry.hha import ANGLE_RADIUS_PX, depth_to_hha
from sgnet_core.geometry.normals import surface_normals
from sgnet_core.geometry.point_map import depth_to_xyz

OTHER_SIZES = ((240, 320), (720, 1280), (1080, 1920))
HHA, FLOAT64 = 'hha', 'hha float64'
SMALL = (120, 160)
"""A leak of one image a frame shows at this size."""
FRAMES = (100, 1000)
COLOUR_FROM_DEPTH = np.eye(4)
COLOUR_FROM_DEPTH[:3] = [[0.9998, 0, 0.0175, 0.05], [0, 1, 0, 0], [-0.0175, 0, 0.9998, 0]]
"""5 cm beside the colour camera and turned by one degree."""


def calls(size: Size, device: str) -> dict[str, Call]:
    """Each encoding of a synthetic frame that is on the device."""
    frame = frame_from_images(*synthetic_images(size))
    depth_m = torch.from_numpy(frame.depth_m).to(device)
    double_m, camera = depth_m.double(), frame.intrinsics
    colour = replace(camera, fx=1.1 * camera.fx, fy=1.1 * camera.fy)
    return {
        HHA: lambda: depth_to_hha(depth_m, camera),
        FLOAT64: lambda: depth_to_hha(double_m, camera, gravity_step=1),
        'xyz': lambda: depth_to_xyz(depth_m, camera),
        'normals': lambda: surface_normals(depth_m, camera, ANGLE_RADIUS_PX),
        'registration': lambda: register_depth(depth_m, camera, colour, COLOUR_FROM_DEPTH),
    }


@torch.inference_mode()
def resident_mb(device: str, frames: tuple[int, ...]) -> list[float]:
    """10^6 bytes of the process after each number of frames."""
    call, found = calls(SMALL, device)[HHA], []
    for done in range(1, frames[-1] + 1):
        call()
        if done in frames:
            found.append(memory_status('VmRSS') / 1e6)
    return found


def main() -> None:
    args = study.start(study.options(__doc__))
    rows = []
    for size in dict.fromkeys((args.size, *OTHER_SIZES)):
        with torch.inference_mode():
            seconds = args.seconds / 6
            times, _ = study.time_operators(calls(size, args.device), args.device, seconds)
        text = '{}x{}'.format(*size)
        rows += [study.row(ms, encoding=name, size=text) for name, ms in times.items()]
    medians = {row['encoding']: row['median_ms'] for row in reversed(rows)}
    ratios = {'hha_over_float64': medians[HHA] / medians[FLOAT64]}
    if args.device == 'cpu':
        first, last = peaks = in_fresh_process(resident_mb, args.device, FRAMES)
        rows += [
            study.row(None, peak, encoding=f'hha after {frames} frames', size='120x160')
            for frames, peak in zip(FRAMES, peaks, strict=True)
        ]
        ratios['hha_memory_1000_over_100_frames'] = last / first
    study.show(args, rows, ratios)


if __name__ == '__main__':
    main()
