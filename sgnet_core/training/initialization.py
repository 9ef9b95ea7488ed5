# SPDX-License-Identifier: Apache-2.0
"""Initial weights of a run: from a checkpoint, from a pretrained backbone, or random.

All tensors of a checkpoint must fit by name and shape, except the classifiers of the heads. Their
rows are matched by class name; new classes start untrained.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sgnet_core.checkpoint.checkpoint import AUXILIARY_PREFIX, load_checkpoint, tensor_problems
from sgnet_core.checkpoint.pretrained_backbone import (
    load_pretrained_backbone,
    pretrained_normalization,
)
from sgnet_core.errors import CheckpointError, ConfigError
from sgnet_core.labels import LabelSet
from sgnet_core.model.sgnet import SGNet
from sgnet_core.preprocessing import InputSpec
from sgnet_core.training.config import TrainConfig

PROBLEMS_NAMED = 3

logger = logging.getLogger(__name__)


class Initialization:
    """Initial weights and input of a run.

    Attributes:
        spec: input of the network; that of the checkpoint `init`, at the size of the run.
        is_pretrained: True if the backbone does not start from random weights.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ConfigError: the checkpoint and the settings differ in `spatial`.
    """

    def __init__(self, config: TrainConfig, init: Path | None) -> None:
        self._config, self._init = config, init
        self._checkpoint = None if init is None else load_checkpoint(init)
        self.is_pretrained = init is not None or config.pretrained
        if self._checkpoint is None:
            encoding = ('rgb', *pretrained_normalization(config.variant), config.spatial)
            self.spec = InputSpec(*config.input_size, *encoding, depth_fill=config.depth_fill)
            return
        source = self._checkpoint.input_spec
        if source.spatial != config.spatial:
            raise ConfigError(
                f'{init} has spatial {source.spatial!r}, the settings have {config.spatial!r}: '
                'remove spatial from the settings to inherit it, or start from another checkpoint'
            )
        self.spec = source.at_size(config.input_size)

    def initialize(self, network: SGNet, label_set: LabelSet) -> str | dict[str, Any]:
        """Load the initial weights and return their origin for the provenance.

        Raises:
            CheckpointError: the checkpoint has another architecture.
            ConfigError: there is no pretrained backbone.
        """
        if self._checkpoint is None:
            return (
                load_pretrained_backbone(network) if self._config.pretrained else 'random weights'
            )
        checkpoint, own = self._checkpoint, network.state_dict()
        tensors = {
            name: tensor
            for name, tensor in checkpoint.weights.items()
            if network.auxiliary_head is not None or not name.startswith(AUXILIARY_PREFIX)
        }
        self._check_architecture(network, tensors)
        names, known = label_set.class_names, checkpoint.label_set.class_names
        # Case, spaces, underscores and hyphens are ignored: `Night_Stand` equals `night stand`.
        keys, known_names = (
            [re.sub(r'[\s_-]', '', name).casefold() for name in group] for group in (names, known)
        )
        # Row of the run -> row of the checkpoint.
        rows = {i: known_names.index(key) for i, key in enumerate(keys) if key in known_names}
        for name in class_tensors(network):
            if name in tensors:
                own[name][list(rows)] = tensors[name][list(rows.values())]
                tensors[name] = own[name]
        network.load_state_dict({**own, **tensors})
        changes = {
            'classes_taken': [names[i] for i in rows],
            'classes_new': [name for i, name in enumerate(names) if i not in rows],
            'classes_dropped': [n for i, n in enumerate(known) if i not in rows.values()],
        }
        logger.info(
            'head: %d of %d classes from %s by name; new: %s; dropped: %s',
            len(changes['classes_taken']), len(label_set), self._init.name,
            *(', '.join(changes[key]) or 'none' for key in ('classes_new', 'classes_dropped')),
        )  # fmt: skip
        return {'checkpoint': self._init.name, **changes, **checkpoint.provenance}

    def _check_architecture(self, network: SGNet, tensors: Mapping[str, Tensor]) -> None:
        """Raise CheckpointError with the first tensors that do not fit."""
        source = self._checkpoint.config
        wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
        for name in class_tensors(network):
            wanted[name] = (source.num_classes, *wanted[name][1:])
        if not self._checkpoint.has_auxiliary:
            wanted = {n: s for n, s in wanted.items() if not n.startswith(AUXILIARY_PREFIX)}
        problems = list(islice(tensor_problems(wanted, tensors), PROBLEMS_NAMED))
        if not problems:
            return
        run = network.config.variant
        remedy = (
            f'remove variant from the settings to inherit {source.variant}, or start from a {run}'
            if source.variant != run
            else 'another version of this package made it; train or convert it again'
        )
        raise CheckpointError(
            f'{self._init} is a {source.variant} and does not fit the {run} of this run: '
            f'{"; ".join(problems)}; {remedy}'
        )


def inherited_settings(init: Path) -> dict[str, object]:
    """The `TrainConfig` settings that a run inherits from the checkpoint `init`.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    checkpoint = load_checkpoint(init)
    config, spec = checkpoint.config, checkpoint.input_spec
    return {
        'variant': config.variant,
        'spatial': config.spatial,
        'joint_bilateral': config.joint_bilateral,
        'input_size': spec.size,
        'depth_fill': spec.depth_fill,
    }


def start_name(origin: str | Mapping[str, Any]) -> str:
    """A short name for the result of `Initialization.initialize`."""
    return origin if isinstance(origin, str) else str(origin['checkpoint'])


def class_tensors(network: SGNet) -> list[str]:
    """Names of the tensors with a row for each class: the last convolution of each head."""
    names = []
    for name in ('head', 'auxiliary_head'):
        head = getattr(network, name)
        if head is not None:
            layers = [n for n, m in head.named_modules(prefix=name) if isinstance(m, nn.Conv2d)]
            names += [f'{layers[-1]}.weight', f'{layers[-1]}.bias']
    return names
