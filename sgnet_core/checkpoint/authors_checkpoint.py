# SPDX-License-Identifier: Apache-2.0
"""Read and convert the checkpoints of SGNet's authors.

The authors' code for PyTorch 0.4.1 differs from ours as follows:

* Every norm of the network is an early InPlace-ABN, which scales by |weight| + 1e-5.
* An S-Conv has a main bias, which is frozen at zero. Our S-Conv has none: the bias is subtracted
  from the running mean of the next norm, which gives the same network.
* The input is BGR minus its mean, without division. S-Conv sees depth in metres, 0 if missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sgnet_core.checkpoint.checkpoint import AUXILIARY_PREFIX, Checkpoint, check_tensors
from sgnet_core.checkpoint.torch_files import load_tensors
from sgnet_core.errors import CheckpointError, InputError
from sgnet_core.labels import LABEL_SETS, LabelSet
from sgnet_core.model.sgnet import SGNet, SGNetConfig
from sgnet_core.preprocessing import InputSpec

AUTHORS_VARIANTS = ('sgnet_r101', 'sgnet_r50', 'sgnet_aspp_r101')
AUTHORS_INPUT = InputSpec(480, 640, 'bgr', (104.008, 116.669, 122.675), (1.0, 1.0, 1.0), 'depth')
ABN_EPSILON = 1e-5
"""InPlace-ABN adds this to the variance, as BatchNorm2d does, and also to |weight|."""

_HEAD_NAMES = {
    'head.0': 'dsn4.0',
    'head.1': 'dsn4.1',
    'head.4': 'dsn4.3',
    'head.pooling.0': 'head.0.conv1.1',
    'head.pooling.1': 'head.0.conv1.2',
    **{f'head.branches.{i}.{j}': f'head.0.conv{i + 2}.{j}' for i in range(4) for j in range(2)},
    'head.bottleneck.0': 'head.0.bottleneck.0',
    'head.bottleneck.1': 'head.0.bottleneck.1',
    'head.classifier': 'head.1',
    'auxiliary_head.0': 'dsn3.0',
    'auxiliary_head.1': 'dsn3.1',
    'auxiliary_head.4': 'dsn3.3',
}
"""Our module -> the authors'. Only heads have other names; LeakyReLU is part of the norm."""


@dataclass(frozen=True)
class TensorMapping:
    """The conversion of one tensor."""

    source: str  # name in the file
    target: str | None  # name in our checkpoint; None if it is dropped
    shape: tuple[int, ...]
    change: str = ''  # change of the values; '' = none


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `torch.save` file (old or new format) without running its code.

    The file holds a state dict, or a dict with the entry `state_dict`.

    Raises:
        CheckpointError: the file is missing, damaged, asks for code, or has no tensors.
    """
    if not path.is_file():
        raise CheckpointError(
            f'{path} does not exist; give the path of a checkpoint of the authors'
        )
    with torch.serialization.safe_globals(_NUMPY_SCALARS):
        stored = load_tensors(path)
    state_dict = stored.get('state_dict', stored) if isinstance(stored, Mapping) else stored
    named = isinstance(state_dict, Mapping) and all(isinstance(name, str) for name in state_dict)
    if not named or not any(isinstance(value, Tensor) for value in state_dict.values()):
        found = list(stored)[:8] if isinstance(stored, Mapping) else type(stored).__name__
        raise CheckpointError(f'{path} has no state_dict of named tensors; it holds {found}')
    return dict(state_dict)


def convert(
    state_dict: Mapping[str, Tensor],
    variant: str,
    label_set: LabelSet | None = None,
    keep_auxiliary: bool = False,
) -> tuple[Checkpoint, list[TensorMapping]]:
    """Convert the authors' tensors to a checkpoint that computes the same scores.

    Args:
        state_dict: names, with or without the prefix `module.`, and tensors.
        variant: one of `AUTHORS_VARIANTS`.
        label_set: the classes; None = the NYU set with this number of classes.
        keep_auxiliary: keep the training-only head, as `auxiliary_head.*`.

    Returns:
        The checkpoint, and one `TensorMapping` for each tensor of `state_dict`, in its order.

    Raises:
        InputError: the variant is not one of `AUTHORS_VARIANTS`.
        CheckpointError: a tensor is missing, unexpected, misshapen or not finite, or the number
            of classes does not match.
    """
    if variant not in AUTHORS_VARIANTS:
        raise InputError(f'variant must be one of {", ".join(AUTHORS_VARIANTS)}, got {variant!r}')
    prefix = 'module.' if all(name.startswith('module.') for name in state_dict) else ''
    tensors = {name.removeprefix(prefix): tensor for name, tensor in state_dict.items()}
    auxiliary = keep_auxiliary or any(name.startswith('dsn3.') for name in tensors)
    network = _empty_network(variant, _count_classes(variant, tensors), auxiliary)
    _check(network, tensors)
    weights, mappings = _convert_tensors(network, tensors, keep_auxiliary)
    labels = _label_set(network.config.num_classes, label_set)
    checkpoint = Checkpoint(network.config, AUTHORS_INPUT, labels, weights)
    return checkpoint, [replace(mappings[name], source=prefix + name) for name in tensors]


def _convert_tensors(
    network: SGNet, tensors: Mapping[str, Tensor], keep_auxiliary: bool
) -> tuple[dict[str, Tensor], dict[str, TensorMapping]]:
    """The tensors by our names, and the mappings by the authors' names."""
    scales = {
        f'{name}.weight' for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)
    }
    biases = _sconv_biases(network)
    weights: dict[str, Tensor] = {}
    mappings: dict[str, TensorMapping] = {}
    for target, empty in network.state_dict().items():
        source, shape, change = _authors_name(target), tuple(empty.shape), ''
        if target.startswith(AUXILIARY_PREFIX) and not keep_auxiliary:
            mappings[source] = TensorMapping(source, None, shape, 'auxiliary head, dropped')
            continue
        if target.endswith('.num_batches_tracked'):
            weights[target] = torch.zeros((), dtype=torch.int64)  # InPlace-ABN has no counter
            continue
        value = tensors[source].to(torch.float32, copy=True)
        if target in scales:
            value, change = value.abs() + ABN_EPSILON, f'|x| + {ABN_EPSILON}'
        bias = biases.get(target)
        if bias in tensors:
            value -= tensors[bias]
            mappings[bias] = TensorMapping(bias, target, shape, 'subtracted from it')
        weights[target] = value
        mappings[source] = TensorMapping(source, target, shape, change)
    return weights, mappings


def _check(network: SGNet, tensors: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError with the first tensor that does not fit."""
    wanted, state = _authors_shapes(network), network.state_dict()
    biases = {bias: tuple(state[norm].shape) for norm, bias in _sconv_biases(network).items()}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise CheckpointError(f'{name} is of type {type(tensor).__name__}, expected a tensor')
    try:
        check_tensors(wanted | {n: s for n, s in biases.items() if n in tensors}, tensors)
    except CheckpointError as error:
        raise CheckpointError(f'{error}{_variant_hint(network.config, tensors)}') from error
    for name, tensor in tensors.items():
        if not (tensor.is_floating_point() and tensor.isfinite().all()):
            raise CheckpointError(
                f'tensor {name} has values that are not finite; download the file again'
            )


def _variant_hint(config: SGNetConfig, tensors: Mapping[str, Tensor]) -> str:
    """A hint if the names are those of another variant; '' otherwise."""
    for variant in AUTHORS_VARIANTS:
        network = _empty_network(variant, config.num_classes, auxiliary=False)
        if variant != config.variant and _authors_shapes(network).keys() <= tensors.keys():
            return f'; it looks like {variant}: give --variant {variant}'
    return ''


def _empty_network(variant: str, classes: int, auxiliary: bool) -> SGNet:
    with torch.device('meta'):
        return SGNet(SGNetConfig(variant, classes, AUTHORS_INPUT.spatial), auxiliary)


def _count_classes(variant: str, tensors: Mapping[str, Any]) -> int:
    name = 'head.1.bias' if variant == 'sgnet_aspp_r101' else 'dsn4.3.bias'
    shape = tuple(getattr(tensors.get(name), 'shape', ()))
    # The check of all tensors reports a missing or misshapen bias.
    classes = shape[0] if len(shape) == 1 else 40
    if not 1 <= classes <= 255:
        raise CheckpointError(f'tensor {name} has {classes} classes; 1 to 255 are supported')
    return classes


def _label_set(classes: int, label_set: LabelSet | None) -> LabelSet:
    if label_set is None:
        label_set = next((known for known in LABEL_SETS.values() if len(known) == classes), None)
    if label_set is None or len(label_set) != classes:
        known = ', '.join(f'{name} ({len(labels)})' for name, labels in LABEL_SETS.items())
        wanted = '' if label_set is None else f', {label_set.name} has {len(label_set)}'
        raise CheckpointError(f'the file has {classes} classes{wanted}; known sets: {known}')
    return label_set


def _authors_shapes(network: SGNet) -> dict[str, tuple[int, ...]]:
    return {
        _authors_name(name): tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if not name.endswith('.num_batches_tracked')
    }


def _authors_name(name: str) -> str:
    if name.startswith('backbone.'):
        name = name.removeprefix('backbone.')
        return f'{name}.weight' if name.endswith('.weight_generator1') else name
    module, _, leaf = name.rpartition('.')
    return f'{_HEAD_NAMES[module]}.{leaf}'


def _sconv_biases(network: SGNet) -> dict[str, str]:
    """Our running mean after each S-Conv -> the authors' name of its bias."""
    return {
        f'{position.removesuffix("conv2")}bn2.running_mean': _authors_name(f'{position}.bias')
        for position in network.sconv_positions()
    }


class _Ignored:
    """Replaces a NumPy scalar or its dtype; stores and calls nothing.

    NumPy's own classes stay forbidden: their unpickling trusts the bytes of the file.
    """

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


_NUMPY_SCALARS = [
    type('dtype', (_Ignored,), {'__module__': 'numpy'}),
    type('scalar', (_Ignored,), {'__module__': 'numpy.core.multiarray'}),
    type('scalar', (_Ignored,), {'__module__': 'numpy._core.multiarray'}),
]
