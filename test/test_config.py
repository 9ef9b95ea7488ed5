# SPDX-License-Identifier: Apache-2.0
"""The files in config/ say what the code that reads them understands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sgnet_core.checkpoint.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint
from sgnet_core.training.config import load_train_config
from sgnet_core.training.initialization import inherited_settings
from sgnet_ros.cameras import CAMERAS

CONFIG = Path(__file__).resolve().parents[1] / 'config'
FASTDDS = CONFIG / 'fastdds_large_images.xml'
LARGE_IMAGE = 1280 * 720 * 3


def flattened(values: dict, prefix: str = '') -> dict:
    """{'sync': {'slop': 1}} as {'sync.slop': 1}, the way ROS names nested parameters."""
    flat = {}
    for name, value in values.items():
        nested = isinstance(value, dict)
        flat |= flattened(value, f'{prefix}{name}.') if nested else {f'{prefix}{name}': value}
    return flat


def test_segmentation_yaml_lists_the_declared_parameters():
    parameters = pytest.importorskip('sgnet_ros.parameters')
    listed = yaml.safe_load((CONFIG / 'segmentation.yaml').read_text())['/**']['ros__parameters']
    declared = {item.name: item.default for item in parameters.NODE_PARAMETERS}
    assert flattened(listed) == declared
    assert {type(value) for value in flattened(listed).values()} <= {str, int, float, bool, list}


def test_node_accepts_segmentation_yaml(ros_domain_id):
    rclpy = pytest.importorskip('rclpy')
    from sgnet_ros.node_parameters import NodeParameters
    from sgnet_ros.parameters import NODE_PARAMETERS

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain_id)
    try:
        node = rclpy.create_node(
            'segmentation',
            context=context,
            cli_args=['--ros-args', '--params-file', str(CONFIG / 'segmentation.yaml')],
            automatically_declare_parameters_from_overrides=True,
        )
        parameters = NodeParameters(node, lambda: False)
        for item in NODE_PARAMETERS:
            assert parameters[item.name] == item.default
    finally:
        rclpy.shutdown(context=context)


@pytest.mark.parametrize('camera', CAMERAS)
def test_camera_file_changes_defaults_and_names_topics(camera):
    declared = pytest.importorskip('sgnet_ros.parameters').NODE_PARAMETERS
    known = {item.name: item for item in declared}
    text = (CONFIG / f'{camera}.yaml').read_text()
    assert f'camera:={camera}' in text or 'realsense.launch.py' in text
    changed = flattened(yaml.safe_load(text)['/**']['ros__parameters'])
    for name, value in changed.items():
        assert known[name].validated(value) != known[name].default, name
    for known in CAMERAS.values():
        assert (known.rgb in text and known.depth in text) == (known is CAMERAS[camera])


@pytest.mark.parametrize('path', sorted(CONFIG.glob('train_*.yaml')), ids=lambda path: path.stem)
def test_training_configs_are_valid(path):
    config = load_train_config(path)
    paper = path.stem.endswith('_paper')
    variants = {'paper': 'sgnet_r101', 'vits': 'sgnet_vits'}
    assert config.variant == variants.get(path.stem.split('_')[-1], 'sgnet_lite2')
    # The ResNets have no pretrained backbone.
    assert config.pretrained is not paper
    assert config.evaluate_every <= config.epochs


def test_finetune_config_matches_the_bundled_checkpoint():
    config = load_train_config(CONFIG / 'finetune.yaml', inherited_settings(DEFAULT_CHECKPOINT))
    shipped = load_checkpoint()
    assert config.architecture(shipped.config.num_classes) == shipped.config
    assert config.input_size == shipped.input_spec.size
    # For any classes, and a few frames: the average must not lag behind a short run.
    steps = config.epochs * 16 / config.batch_size
    assert 1 / (1 - config.ema_decay) < steps / 5


@pytest.mark.parametrize(
    ('name', 'rate', 'epochs'), [('nyuv2_paper', 8e-3, 500), ('sunrgbd_paper', 1e-3, 200)]
)
def test_paper_configs_match_the_paper(name, rate, epochs):
    """Section IV of the paper."""
    config = load_train_config(CONFIG / f'train_{name}.yaml')
    assert (config.learning_rate, config.epochs, config.batch_size) == (rate, epochs, 8)
    assert (config.optimizer, config.weight_decay) == ('sgd', 5e-4)
    assert (config.crop_size, config.scale) == ((480, 640), (0.5, 2.25))
    assert config.ema_decay == config.warmup_epochs == 0
    assert config.backbone_rate_factor == 1
    assert (config.class_weight_exponent > 0) is (name == 'sunrgbd_paper')


@pytest.mark.parametrize('spoil', [False, True])
def test_fast_dds_accepts_the_profile(ros_domain_id, tmp_path, spoil):
    """`spoil`: the complaint is looked for where it is."""
    pytest.importorskip('rclpy')
    profile = tmp_path / 'profile.xml'
    text = FASTDDS.read_text()
    profile.write_text(text.replace('segment_size>', 'segment_length>') if spoil else text)
    # The largest of its files in shared memory; it also maps those of nodes it discovers.
    code = f"""
import os, pathlib, rclpy
before = {{f'/dev/shm/{{name}}' for name in os.listdir('/dev/shm')}}
rclpy.init(domain_id={ros_domain_id})
node = rclpy.create_node('profile')
maps = set(pathlib.Path('/proc/self/maps').read_text().split()) - before
print(max(os.path.getsize(name) for name in maps if name.startswith('/dev/shm/fast')))
"""
    names = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
    done = subprocess.run(
        [sys.executable, '-c', code],
        env=os.environ | dict.fromkeys(names, str(profile)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert ('XMLPARSER' in done.stdout) is spoil, done.stdout
    assert (int(done.stdout.splitlines()[-1]) > 10 * LARGE_IMAGE) is not spoil


def test_layouts_of_viewers_show_outputs_of_the_node():
    outputs = pytest.importorskip('sgnet_ros.topics').OUTPUTS
    known = {topic.name.replace('~', '/segmentation') for topic in outputs}
    layout = json.loads((CONFIG / 'segmentation.foxglove.json').read_text())
    panels = set(layout['configById'])
    assert set(re.findall(r"'(\w+!\w+)'", str(layout['layout']))) == panels
    for name in ('segmentation.foxglove.json', 'segmentation.rviz'):
        shown = set(re.findall(r'(/segmentation/\w+|/diagnostics)', (CONFIG / name).read_text()))
        assert shown
        assert shown <= known
