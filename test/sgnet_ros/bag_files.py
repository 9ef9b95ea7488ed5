# SPDX-License-Identifier: Apache-2.0
"""Bags that differ from a good one in one thing, and frames compared to the bit."""

import os

import numpy as np
from compressed_bytes import compressed_depth, png
from rosbags.rosbag2 import Writer

from sgnet_ros.bag.reader import Bag, header_stamp_ns, standard_types, with_header_stamp


def rewrite(source, target, change):
    """Copy a bag by message; `change(topic, index, cdr, time)` returns (cdr, time) or None."""
    types = standard_types()
    counts = {}
    with Bag(source) as bag, Writer(target, version=8) as writer:
        connections = {
            t.name: writer.add_connection(t.name, t.msgtype, typestore=types)
            for t in bag.topics.values()
        }
        for message in bag.messages():
            index = counts[message.topic] = counts.get(message.topic, -1) + 1
            changed = change(message.topic, index, message.cdr, message.time_ns)
            if changed is not None:
                cdr, time_ns = changed
                writer.write(connections[message.topic], time_ns, cdr)
    return target


def edited(source, target, topic, edit, frames=range(1000)):
    """Copy a bag, with `edit(message)` done to the messages of `topic` with these numbers."""
    types = standard_types()
    with Bag(source) as bag:
        msgtype = bag.topics[topic].msgtype

    def change(name, index, cdr, time_ns):
        if name == topic and index in frames:
            message = types.deserialize_cdr(cdr, msgtype)
            edit(message)
            cdr = bytes(types.serialize_cdr(message, msgtype))
        return cdr, time_ns

    return rewrite(source, target, change)


def unknown_encoding(message):
    message.encoding = 'xyz9'


def shifted(source, target, topic, stamp_ns=0, time_ns=0):
    """Copy a bag, with the messages of `topic` stamped, or recorded, so much later."""

    def change(name, index, cdr, recorded_ns):
        if name != topic:
            return cdr, recorded_ns
        return with_header_stamp(cdr, header_stamp_ns(cdr) + stamp_ns), recorded_ns + time_ns

    return rewrite(source, target, change)


def storage_file(path):
    """The file with the messages."""
    if path.is_file():
        return path
    return next(file for file in path.iterdir() if file.suffix in ('.mcap', '.db3'))


def truncate(path, kept=0.5):
    """Remove the end of the file with the messages."""
    file = storage_file(path)
    os.truncate(file, int(file.stat().st_size * kept))


def compressed(source, target, topics, codec):
    """Copy a bag with colour as PNG and depth of 16UC1 as `codec`, on topics with a suffix."""
    types = standard_types()
    kind = 'sensor_msgs/msg/CompressedImage'
    suffixes = {topics.rgb: '/compressed', topics.depth: '/compressedDepth'}

    def encoded(topic, image):
        if topic == topics.rgb:
            return 'rgb8; png compressed bgr8', png(pixels(image))
        data = compressed_depth(pixels(image).view('<u2')[:, :, 0], codec)
        return f'16UC1; compressedDepth {codec}', data

    with Bag(source) as bag, Writer(target, version=8) as writer:
        connections = {}
        for name, topic in bag.topics.items():
            new, msgtype = (
                name + suffixes.get(name, ''),
                kind if name in suffixes else topic.msgtype,
            )
            connections[name] = writer.add_connection(new, msgtype, typestore=types)
        for message in bag.messages():
            cdr = message.cdr
            if message.topic in suffixes:
                image = bag.deserialize(message)
                image_format, data = encoded(message.topic, image)
                octets = np.frombuffer(data, np.uint8)
                smaller = types.types[kind](header=image.header, format=image_format, data=octets)
                cdr = types.serialize_cdr(smaller, kind)
            writer.write(connections[message.topic], message.time_ns, cdr)
    return target


def pixels(image):
    """(H, W, bytes of a pixel) of an image without row padding."""
    return image.data.reshape(image.height, image.width, -1)


def without(*topics):
    return lambda topic, index, cdr, time_ns: None if topic in topics else (cdr, time_ns)


def assert_same(sample, expected):
    np.testing.assert_array_equal(sample.frame.rgb, expected.frame.rgb)
    # NaN where it is NaN, whichever, and else not one bit apart.
    np.testing.assert_array_equal(sample.frame.depth_m, expected.frame.depth_m)
    assert sample.frame.intrinsics == expected.frame.intrinsics
    np.testing.assert_array_equal(sample.labels, expected.labels)


def assert_all_same(frames, samples):
    for sample, expected in zip(frames, samples, strict=True):
        assert_same(sample, expected)
