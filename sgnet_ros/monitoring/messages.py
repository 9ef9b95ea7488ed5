# SPDX-License-Identifier: Apache-2.0
"""Problems of the node: their log messages and remedies.

The tables of the troubleshooting page are generated from these.
"""

from __future__ import annotations

from dataclasses import dataclass

REMEDIES = {
    'rgb/camera_info': '; or give camera.fx, camera.fy, camera.cx and camera.cy',
    'depth/camera_info': '; or use registered depth without depth.register',
}
"""Topic without publishers -> remedy, appended to the log message."""


@dataclass(frozen=True)
class Diagnosis:
    """One line of the log.

    Attributes:
        sentence: the text, with names in braces for its values.
        remedy: the reason and what to do, in Markdown.
    """

    sentence: str
    remedy: str

    def format(self, **values: object) -> str:
        """The sentence with these values."""
        return self.sentence.format(**values)


NO_CLOCK = Diagnosis(
    'use_sim_time is true but /clock is silent',
    'Start the simulator, `play_bag --clock` or `ros2 bag play --clock`, or set '
    '`use_sim_time:=false`.',
)
NO_PUBLISHER = Diagnosis(
    '{topic}: 0 publishers',
    'The camera does not run, or its topic has another name: check `ros2 topic list`, then set '
    '`camera:=`, `rgb_topic:=` and so on. If the list has no topic of the camera, the two '
    'machines or containers differ in `ROS_DOMAIN_ID` or `RMW_IMPLEMENTATION`, or discovery stays '
    'on one machine (`ROS_AUTOMATIC_DISCOVERY_RANGE`, `ROS_LOCALHOST_ONLY`).',
)
OTHER_TYPE = Diagnosis(
    '{topic}: {publishers} of {types}',
    'The topic has another message type, often compressed images: set the raw topic, without its '
    'suffix, and `image_transport:=compressed` or `depth_transport:=compressedDepth`.',
)
INCOMPATIBLE_QOS = Diagnosis(
    '{topic}: {publishers}, incompatible QoS ({reason})',
    '`qos.input: sensor_data` is compatible with every publisher; `auto` is reliable only if all '
    'publishers are. `ros2 topic info -v` shows their QoS.',
)
NO_MESSAGE = Diagnosis(
    '{topic}: {publishers}, no message in {seconds} s',
    'The stream is off or paused, the driver has failed (see its log), or every image is lost in '
    'transit: see [lost frames](#lost-frames). `ros2 topic hz` shows whether other nodes receive '
    'it.',
)
ZERO_STAMPS = Diagnosis(
    '{topic}: stamps are zero',
    'Colour and depth are paired by their stamps, and this driver sets none: fix or replace it.',
)
LOST_IMAGES = Diagnosis(
    '{topic}: {rate} Hz, but {info} {info_rate} Hz: images are lost in transit; set '
    'qos.input:=auto, and the Fast DDS profile for the camera',
    'Fast DDS drops images that exceed its shared memory: see [lost frames](#lost-frames).',
)
STAMPS_APART = Diagnosis(
    '{rates}, 0 pairs: nearest stamps {gap} ms apart, sync.slop {slop} ms',
    'Let the camera synchronise its streams: the message names the option of a known camera, and '
    '`config/` describes its driver. Or raise `sync.slop` up to half a frame period. If the gap is '
    'seconds or years, different clocks stamp the streams.',
)
NO_TWO_STAMPS = Diagnosis(
    '{rates}, 0 pairs: no two stamps to compare',
    'Colour and depth never came at the same time: the camera switches between them, or the bag '
    'holds one after the other.',
)
ALL_DROPPED = Diagnosis(
    'pairs {pairs}, masks 0, dropped: {causes}',
    'Each cause has its count and its latest reason; the [next table](#dropped-frames) explains '
    'them.',
)
SLOW_FRAME = Diagnosis(
    'the current frame has taken {seconds} s so far',
    'The device is busy or too slow for this network: use `device:=cuda` or a smaller network, or '
    'end other processes. `ros2 run sgnet_core benchmark` measures the device.',
)
NO_CAUSE = Diagnosis(
    'no cause found',
    'Frames arrive, but none was finished: `max_rate` allows less than one in '
    '`watchdog.timeout`, or the next line names the cause. `/diagnostics` has every count.',
)
NOT_WANTED = Diagnosis(
    'no subscriber to {topics}: nothing is computed',
    'This is intended: outputs are computed for subscribers only, and `publish.*` enables each. '
    'Try `ros2 topic hz /segmentation/mask`.',
)
DUPLICATE_NAME = Diagnosis(
    '{count} nodes have the name {name}, so their outputs and services mix; rename one with '
    '-r __node:=NAME or a namespace (a crashed node disappears after 20 s)',
    'In the launch files, set `namespace:=`.',
)
FUTURE_STAMPS = Diagnosis(
    'rgb/image is stamped {seconds} s in the future; synchronise the clocks of camera and node '
    '(chrony, PTP), or set use_sim_time for a simulation',
    'Masks are not affected, but latencies are wrong.',
)
QOS_MISMATCH = Diagnosis(
    '{topic}: a subscriber requests incompatible QoS ({reason})',
    'Outputs are reliable and volatile; labels are reliable and transient local. The subscriber '
    'must not request more. In RViz, set the durability of the topic to volatile.',
)
SENTENCES = tuple(value for value in list(globals().values()) if isinstance(value, Diagnosis))
"""All messages of the watchdog."""

DROPS = {
    'rgb_unmatched': 'No depth within `sync.slop`: depth is slower, late or lost.',
    'depth_unmatched': 'No colour within `sync.slop`: colour is slower, late or lost.',
    'duplicate_stamp': 'The stamp repeats the last one: two publishers, or repeated frames.',
    'time_jump': 'Time went back while it waited for its partner, for example in a looping bag.',
    'no_camera_info': 'Intrinsics are missing: publish camera_info or set `camera.fx` and the '
    'others. `depth.register` also needs `depth/camera_info`.',
    'newer_frame': 'A newer one replaced it: the camera is faster than the network, as '
    '`queue.policy: latest` intends.',
    'queue_full': 'Too many waited (`queue.policy: all`): play more slowly.',
    'no_subscriber': 'No output had a subscriber.',
    'stopped': 'It waited or was processed when the node stopped or failed.',
    'bad_rgb': 'The colour image is invalid; the reason names the part of the message.',
    'bad_depth': 'The depth image is invalid. If its size is not that of colour, it is not '
    'registered: align it in the driver or set `depth.register`.',
    'bad_camera_info': '`K` and `P` are zero or of no possible camera, or the size is not that of '
    'the image.',
    'bad_depth_camera_info': 'The same for the depth camera.',
    'bad_frame': 'The messages are valid, but not the frame they make; see its reason.',
    'no_transform': 'TF does not connect the frames in the reason: publish the transform, set '
    '`depth.extrinsics`, or choose another `hha.gravity_source`.',
    'internal_error': 'A defect of the node that this frame revealed: report the traceback, '
    'which the log has once. The node ends after 30 in a row.',
    'out_of_memory': 'The device had no memory for this frame.',
}
"""Cause of a drop in the log, in /diagnostics and in counters -> explanation."""
