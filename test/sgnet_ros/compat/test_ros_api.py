# SPDX-License-Identifier: Apache-2.0
"""Real packages and stand-ins pass the same tests; the working one is chosen."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


def load(name, where):
    """The stand-in, or the real package if it is installed and works."""
    if where == 'stand-in':
        return importlib.import_module(f'sgnet_ros.compat.standalone.{name}')
    from sgnet_ros.compat import ros_api

    if ros_api.CHOICES[name] != 'real':
        pytest.skip(f'{name}: {ros_api.CHOICES[name]}')
    return importlib.import_module(name)


both = pytest.mark.parametrize('where', ['stand-in', 'real'])


def message(encoding, pixels):
    return SimpleNamespace(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(sys.byteorder == 'big'),
        step=pixels[0].nbytes,
        data=pixels.tobytes(),
    )


def random_pixels(*shape):
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


@both
@pytest.mark.parametrize(
    ('encoding', 'channels'),
    [('rgb8', 3), ('bgr8', 3), ('rgba8', 4), ('bgra8', 4), ('mono8', 1), ('bayer_gbrg8', 1),
     ('yuv422', 2), ('yuv422_yuy2', 2)],
)  # fmt: skip
def test_cv_bridge_converts_to_rgb8(where, encoding, channels):
    bridge = load('cv_bridge', where).CvBridge()
    pixels = random_pixels(4, 6, channels) if channels > 1 else random_pixels(4, 6)
    msg = message(encoding, pixels)
    rgb = bridge.imgmsg_to_cv2(msg, 'rgb8')
    assert (rgb.shape, rgb.dtype) == ((4, 6, 3), np.uint8)
    order = {'rgb8': [0, 1, 2], 'bgr8': [2, 1, 0], 'rgba8': [0, 1, 2], 'bgra8': [2, 1, 0]}
    if encoding in order:
        np.testing.assert_array_equal(rgb, pixels[:, :, order[encoding]])
    if encoding == 'mono8':
        np.testing.assert_array_equal(rgb, np.repeat(pixels[:, :, None], 3, axis=2))
    rgb[:] = 0
    assert bytes(msg.data) == pixels.tobytes(), 'a writable copy'


@both
@pytest.mark.parametrize('encoding', ['jpeg', ''])
def test_cv_bridge_rejects_unknown_encodings(where, encoding):
    module = load('cv_bridge', where)
    assert issubclass(module.CvBridgeError, TypeError)
    with pytest.raises(module.CvBridgeError, match='Unrecognized image encoding'):
        module.CvBridge().imgmsg_to_cv2(message(encoding, random_pixels(4, 6, 3)), 'rgb8')


@both
def test_simple_filter_passes_messages_and_arguments(where):
    source = load('message_filters', where).SimpleFilter()
    calls = []
    source.registerCallback(lambda *args: calls.append(args))
    source.registerCallback(lambda *args: calls.append(args), 'a', 2)
    source.signalMessage('m', 'n')
    assert calls == [('m', 'n'), ('m', 'n', 'a', 2)]


@both
def test_subscriber_passes_messages_on(where):
    module = load('message_filters', where)
    created = {}

    class Node:
        def create_subscription(self, msg_type, topic, callback, **options):
            created.update(msg_type=msg_type, topic=topic, callback=callback, options=options)
            return 'the subscription'

    subscriber = module.Subscriber(Node(), int, 'some/topic', qos_profile=3)
    assert isinstance(subscriber, module.SimpleFilter)
    assert (created['msg_type'], created['topic']) == (int, 'some/topic')
    assert created['options'] == {'qos_profile': 3}
    assert subscriber.sub == 'the subscription'
    seen = []
    subscriber.registerCallback(seen.append)
    created['callback'](7)
    assert seen == [7]


PROGRAM = """
import logging
logging.basicConfig(level=logging.INFO, format='%(levelname)s %(message)s')
from sgnet_ros.compat import ros_api
print(ros_api.CvBridge.__module__, ros_api.Subscriber.__module__)
"""

FAKE_CV_BRIDGE = """
class CvBridgeError(TypeError): pass
class CvBridge:
    def imgmsg_to_cv2(self, msg, desired_encoding='passthrough'):
        {body}
"""


def choose(tmp_path, **packages):
    """Import ros_api in a new interpreter that finds these packages."""
    for name, source in packages.items():
        (tmp_path / f'{name}.py').write_text(source)
    path = os.pathsep.join([str(tmp_path), str(REPOSITORY), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM],
        env={**os.environ, 'PYTHONPATH': path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split(), done.stderr


def test_working_package_is_used(tmp_path):
    body = 'import numpy; return numpy.array([[[3, 2, 1]]], numpy.uint8)'
    chosen, log = choose(tmp_path, cv_bridge=FAKE_CV_BRIDGE.format(body=body))
    assert chosen[0] == 'cv_bridge'
    assert 'WARNING' not in log


@pytest.mark.parametrize(
    ('source', 'cause'),
    [
        ("raise ImportError('numpy.core.multiarray failed to import')", 'multiarray'),
        ('import cv_bridge_boost_for_numpy_1', 'cv_bridge_boost_for_numpy_1'),
        (FAKE_CV_BRIDGE.format(body="raise AttributeError('no attribute newbyteorder')"),
         'newbyteorder'),
        (FAKE_CV_BRIDGE.format(body='import numpy; return numpy.zeros((1, 1, 3))'), 'one pixel'),
        pytest.param(
            FAKE_CV_BRIDGE.format(body='import os; os.kill(os.getpid(), 11)'),
            'SIGSEGV',
            marks=pytest.mark.skipif(np.__version__ < '2', reason='only NumPy 2 makes it crash'),
        ),
    ],
)  # fmt: skip
def test_broken_package_is_replaced_and_the_cause_logged(tmp_path, source, cause):
    """A cv_bridge compiled for NumPy 1 crashes with NumPy 2 in its first conversion (SIGSEGV)."""
    chosen, log = choose(tmp_path, cv_bridge=source)
    assert chosen[0] == 'sgnet_ros.compat.standalone.cv_bridge'
    warning = next(line for line in log.splitlines() if line.startswith('WARNING'))
    assert cause in warning
    assert np.__version__ in warning
    assert 'numpy<2' in warning
