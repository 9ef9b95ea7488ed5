# SPDX-License-Identifier: Apache-2.0
"""Weight averaging of several checkpoints, a model soup (Wortsman et al., ICML 2022).

The networks must have been fine-tuned from the same start. Their mean is then often better than
each of them, at the inference cost of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from sgnet_core.checkpoint.checkpoint import (
    Checkpoint,
    differences,
    load_checkpoint,
    tensor_problems,
)
from sgnet_core.errors import CheckpointError, InputError


def average_checkpoints(paths: Sequence[Path]) -> Checkpoint:
    """Average the weights and statistics of two or more checkpoints.

    The provenance lists that of all checkpoints; the mean has no scores yet.

    Raises:
        CheckpointError: a file cannot be read, or differs from the first in more than weights.
        InputError: fewer than two paths are given.
    """
    if len(paths) < 2:
        raise InputError(f'averaging needs at least two checkpoints, got {len(paths)}')
    checkpoints = [load_checkpoint(path) for path in paths]
    first = checkpoints[0]
    shapes = {name: tuple(tensor.shape) for name, tensor in first.weights.items()}
    for path, checkpoint in zip(paths[1:], checkpoints[1:], strict=True):
        others = (
            differences(checkpoint.config, first.config),
            differences(checkpoint.input_spec, first.input_spec),
            '' if checkpoint.label_set == first.label_set else 'different classes',
            next(tensor_problems(shapes, checkpoint.weights), ''),
        )
        problem = next(filter(None, others), None)
        if problem:
            raise CheckpointError(f'cannot average {paths[0]} and {path}: {problem}')
    weights = {name: _mean([one.weights[name] for one in checkpoints]) for name in first.weights}
    parts = []
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        parts.append({'checkpoint': path.name, 'sha256': digest, **checkpoint.provenance})
    return Checkpoint(first.config, first.input_spec, first.label_set, weights, {'mean_of': parts})


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    """The mean in the same dtype; integers (counters of BatchNorm) come from the first."""
    if not tensors[0].is_floating_point():
        return tensors[0]
    return torch.stack([tensor.double() for tensor in tensors]).mean(0).to(tensors[0].dtype)
