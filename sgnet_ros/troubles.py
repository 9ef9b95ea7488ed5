# SPDX-License-Identifier: Apache-2.0
"""What keeps masks away: what the log says of it, and what to do.

The README's page on troubles is made of these tables, so that it knows every sentence.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trouble:
    """One line of the log.

    Attributes:
        sentence: what it says, with names in braces for what differs.
        remedy: why, and what to do; Markdown.
    """

    sentence: str
    remedy: str

    def say(self, **values: object) -> str:
        """The sentence of one case."""
        return self.sentence.format(**values)


REMEDIES = {
    'depth/image': '; RealSense: align_depth.enable:=true',
    'rgb/camera_info': '; or give camera.fx, camera.fy, camera.cx and camera.cy',
    'depth/camera_info': '; or take depth that is registered already, without depth.register',
}
"""Topic without messages -> remedy, appended to the sentence."""

NO_CLOCK = Trouble(
    'use_sim_time is true but /clock is silent',
    'Nobody plays `/clock`: start the simulator, `play_bag --clock` or `ros2 bag play --clock`, '
    'or say `use_sim_time:=false`.',
)
NO_PUBLISHER = Trouble(
    '{topic}: 0 publishers',
    'The camera does not run, or its topic has another name: `ros2 topic list`, then `camera:=` or '
    '`rgb_topic:=` and the like. No topic of the camera in the list? Then the two differ in '
    '`ROS_DOMAIN_ID` or `RMW_IMPLEMENTATION`, or hear only their own machine '
    '(`ROS_AUTOMATIC_DISCOVERY_RANGE`, `ROS_LOCALHOST_ONLY`).',
)
OTHER_TYPE = Trouble(
    '{topic}: {publishers} of {types}',
    'The name belongs to another type of message, often to compressed images: name the raw topic, '
    'without its suffix, and set `image_transport:=compressed` or '
    '`depth_transport:=compressedDepth`.',
)
INCOMPATIBLE_QOS = Trouble(
    '{topic}: {publishers}, incompatible QoS ({reason})',
    '`qos.input: sensor_data` hears every publisher, `auto` is reliable only where all are. What '
    'they offer: `ros2 topic info -v`.',
)
NO_MESSAGE = Trouble(
    '{topic}: {publishers}, no message in {seconds} s',
    'The stream is off or paused, the driver has failed (see its log), or every image is lost on '
    'the way: see [lost frames](#lost-frames). `ros2 topic hz` tells whether others hear it.',
)
ZERO_STAMPS = Trouble(
    '{topic}: stamps are zero',
    'Colour and depth find each other by their stamps, and this driver gives none: mend or replace '
    'it.',
)
STAMPS_APART = Trouble(
    '{rates}, 0 pairs: nearest stamps {gap} ms apart, sync.slop {slop} ms',
    'Let the camera synchronise its streams (RealSense `enable_sync:=true`, OAK-D and Orbbec in '
    '`config/`), or raise `sync.slop`, up to half a frame period. Seconds or years apart: the two '
    'are stamped by different clocks.',
)
NO_TWO_STAMPS = Trouble(
    '{rates}, 0 pairs: no two stamps to compare',
    'Colour and depth came, but never at the same time: a camera that switches between them, or a '
    'recording of one after the other.',
)
ALL_DROPPED = Trouble(
    'pairs {pairs}, masks 0, dropped: {causes}',
    'Each cause with its count and its latest reason; the [next table](#dropped-frames) has them.',
)
SLOW_FRAME = Trouble(
    'one frame has been in the making for {seconds} s',
    'The device is busy or too slow for this network: `device:=cuda`, a smaller network, or less '
    'beside it; `ros2 run sgnet_core benchmark` measures what it can do.',
)
NO_CAUSE = Trouble(
    'no cause found',
    'Frames are on their way but none was finished: `max_rate` is below one in `watchdog.timeout`, '
    'or the next line will know more. `/diagnostics` has every count.',
)
NOT_WANTED = Trouble(
    'nobody subscribes to {topics}: nothing is computed',
    'As it should be: outputs are computed for subscribers only, and `publish.*` allow each. '
    '`ros2 topic hz /segmentation/mask` is one.',
)
NAMESAKES = Trouble(
    '{count} nodes are called {name}: their outputs and services mix; rename one by '
    '-r __node:=NAME or a namespace (one that crashed is gone after 20 s)',
    'In the launch files, `namespace:=`.',
)
FUTURE_STAMPS = Trouble(
    'rgb/image is stamped {seconds} s in the future; synchronise the clocks of camera and node '
    '(chrony, PTP), or set use_sim_time for a simulation',
    'Masks come all the same; latencies mean nothing.',
)
UNHEARD = Trouble(
    '{topic} is not heard by a subscriber that asks for other QoS ({reason})',
    'Outputs are reliable and volatile, labels transient local: it must not ask for more. In RViz '
    'set the durability of the topic to volatile.',
)
SENTENCES = (
    NO_CLOCK,
    NO_PUBLISHER,
    OTHER_TYPE,
    INCOMPATIBLE_QOS,
    NO_MESSAGE,
    ZERO_STAMPS,
    STAMPS_APART,
    NO_TWO_STAMPS,
    ALL_DROPPED,
    SLOW_FRAME,
    NO_CAUSE,
    NOT_WANTED,
    NAMESAKES,
    FUTURE_STAMPS,
    UNHEARD,
)
"""Everything that the watchdog says."""

DROPS = {
    'rgb_unmatched': 'colour without depth within `sync.slop`: depth is slower, late or lost',
    'depth_unmatched': 'the same the other way round',
    'duplicate_stamp': 'a stamp that has been: two publishers on one topic, or repeated frames',
    'time_jump': 'waited for its partner when time went back, as where a bag loops',
    'no_camera_info': 'intrinsics are missing: publish camera_info or give `camera.fx` and the '
    'like; with `depth.register` also `depth/camera_info`',
    'newer_frame': 'a newer one came while it waited: the camera is faster than the network, and '
    '`queue.policy: latest` means it so',
    'queue_full': 'too many waited, with `queue.policy: all`: play slower',
    'no_subscriber': 'nobody wanted it',
    'stopped': 'was waiting or in the making when the node was stopped, or failed',
    'bad_rgb': 'a colour image that cannot be read; the reason says which part of the message',
    'bad_depth': 'the same of depth. Another size than colour: it is not registered, so align it '
    'in the driver or set `depth.register`',
    'bad_camera_info': 'no camera: `K[0]` is zero, or the size is not that of the image',
    'bad_depth_camera_info': 'the same of the depth camera',
    'bad_frame': 'the parts are fine, and the frame they make is not; see its reason',
    'no_transform': 'TF does not connect the frames that the reason names: publish it, or give '
    '`depth.extrinsics`, or choose another `hha.gravity_source`',
    'out_of_memory': 'the device had no memory for this one frame',
}
"""Cause of a drop, as in the log, in /diagnostics and in statistics -> what to make of it."""
