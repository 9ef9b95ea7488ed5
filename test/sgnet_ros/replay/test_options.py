# SPDX-License-Identifier: Apache-2.0
"""Options of `evaluate_bag --live` reach player and node."""

import argparse
from pathlib import Path

from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.cli.evaluate_bag import add_arguments
from sgnet_ros.parameters import NODE_PARAMETERS
from sgnet_ros.replay.options import replay_config
from sgnet_ros.replay.session import node_arguments

TOPICS = FrameTopics()


def replay(*argv):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return replay_config(parser.parse_args(['bag', '--live', *argv]), Path('logs'), 7)


def told(run, option):
    """NAME -> VALUE of all `-r` or `-p`."""
    words = node_arguments(run)
    values = [words[index + 1] for index, word in enumerate(words) if word == option]
    return dict(value.split(':=') for value in values)


def test_defaults_set_pairing_and_reliability():
    run = replay('--params-file', 'my.yaml')
    pairing = {'sync.mode': 'auto', 'sync.slop': '0.015'}
    assert told(run, '-p') == {'qos.input': 'reliable', **pairing}
    assert told(run, '-r') == {
        'rgb/image': TOPICS.rgb,
        'depth/image': TOPICS.depth,
        'rgb/camera_info': TOPICS.camera_info,
        'depth/camera_info': TOPICS.depth_camera_info,
    }
    assert node_arguments(run)[:3] == ['--ros-args', '--params-file', 'my.yaml']
    assert (run.rate, run.lossless, run.node, run.frames) == (1.0, False, None, 7)
    assert run.streams == ('rgb', 'depth', 'camera_info')


def test_compressed_topics_set_the_transport():
    run = replay('--rgb-topic', '/c/rgb/compressed', '--depth-topic', '/c/depth/compressedDepth')
    remappings, parameters = told(run, '-r'), told(run, '-p')
    assert (remappings['rgb/image'], remappings['depth/image']) == ('/c/rgb', '/c/depth')
    assert parameters['image_transport'] == 'compressed'
    assert parameters['depth_transport'] == 'compressedDepth'
    assert run.topics.rgb == '/c/rgb/compressed'


def test_all_options_reach_the_node():
    run = replay(
        *('--checkpoint', 'my.safetensors', '--device', 'cpu', '--precision', 'fp32'),
        *('--backend', 'torch', '--sync-mode', 'exact', '--sync-slop', '0.02'),
        *('--camera', '525,526,319.5,239.5', '--extrinsics', '0.1,0,0,0,0,0,1'),
        *(
            '--lossless',
            '--param',
            'max_rate:=5.0',
            '--param',
            'device:=auto',
            '--depth-scale',
            '0.0001',
        ),
    )
    expected = {
        'qos.input': 'reliable',
        'queue.policy': 'all',
        'checkpoint': str(Path('my.safetensors').resolve()),
        'device': 'auto',
        'precision': 'fp32',
        'backend': 'torch',
        'sync.mode': 'exact',
        'sync.slop': '0.02',
        'camera.fx': '525.0',
        'camera.fy': '526.0',
        'camera.cx': '319.5',
        'camera.cy': '239.5',
        'depth.scale': '0.0001',
        'depth.register': 'true',
        'depth.extrinsics': '[0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]',
        'max_rate': '5.0',
    }
    assert told(run, '-p') == expected
    assert set(expected) <= {parameter.name for parameter in NODE_PARAMETERS}
    assert run.streams == ('rgb', 'depth', 'depth_camera_info')
