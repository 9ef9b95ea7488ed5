# SPDX-License-Identifier: Apache-2.0
"""Where the first weights of a run come from: a checkpoint, ImageNet, or chance.

From a checkpoint everything is taken strictly, by the name and shape of every tensor, except the
classifiers of the heads: their rows go by the names of the classes, and new classes start as usual.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sgnet_core.checkpoint.checkpoint import (
    AUXILIARY_PREFIX,
    Checkpoint,
    load_checkpoint,
    tensor_problems,
)
from sgnet_core.checkpoint.imagenet import IMAGENET_MEAN, IMAGENET_STD, load_imagenet_weights
from sgnet_core.errors import CheckpointError, ConfigError
from sgnet_core.labels import LabelSet
from sgnet_core.model.sgnet import SGNet
from sgnet_core.preprocessing import InputSpec
from sgnet_core.training.config import TrainConfig

PROBLEMS_NAMED = 3
CLASSES_NAMED = 12

logger = logging.getLogger(__name__)


class Initialization:
    """What a run starts from.

    Attributes:
        spec: what the network of the run sees: as the checkpoint it starts from, at the size of
            the run.
    """

    def __init__(self, config: TrainConfig, init: Path | None) -> None:
        """Open the checkpoint `init`, where one is given.

        Raises:
            CheckpointError: it cannot be read.
            ConfigError: its S-Convs are guided by something else.
        """
        self._config, self._init = config, init
        self._checkpoint = None if init is None else load_checkpoint(init)
        self.spec = InputSpec(
            *config.input_size,
            'rgb',
            IMAGENET_MEAN,
            IMAGENET_STD,
            config.spatial,
            depth_fill=config.depth_fill,
        )
        if self._checkpoint is not None:
            self.spec = self._inherited_spec(self._checkpoint.input_spec)

    @property
    def is_pretrained(self) -> bool:
        """Whether the backbone has learned something already."""
        return self._checkpoint is not None or self._config.pretrained

    def initialize(self, network: SGNet, label_set: LabelSet) -> str | dict[str, Any]:
        """Fill in the first weights and say where they come from, for the provenance.

        Raises:
            CheckpointError: the checkpoint is of another architecture.
            ConfigError: there are no ImageNet weights.
        """
        if self._checkpoint is None:
            return load_imagenet_weights(network) if self._config.pretrained else 'random weights'
        checkpoint, name = self._checkpoint, self._init.name
        own = network.state_dict()
        given = _without_unused_head(checkpoint.weights, own)
        self._check_architecture(network, given)
        rows = _rows_by_name(label_set.class_names, checkpoint.label_set.class_names)
        for tensor in class_tensors(network):
            if tensor in given:
                given[tensor] = _with_rows(own[tensor], given[tensor], rows)
        network.load_state_dict({**own, **given})
        changes = _class_changes(rows, label_set, checkpoint.label_set)
        logger.info('%s', _summary(changes, name, checkpoint, network))
        if checkpoint.config.joint_bilateral and not network.config.joint_bilateral:
            logger.warning(
                '%s has joint bilateral upsampling, this run has not: remove joint_bilateral from '
                'the settings to inherit it',
                name,
            )
        return {'checkpoint': name, **changes, **checkpoint.provenance}

    def _inherited_spec(self, source: InputSpec) -> InputSpec:
        if source.spatial != self.spec.spatial:
            raise ConfigError(
                f'{self._init} has spatial {source.spatial!r}, the settings have '
                f'{self.spec.spatial!r}: the weights do not fit; remove spatial from the settings '
                'to inherit it, or start from another checkpoint'
            )
        spec = source.at_size(self.spec.size)
        if spec != self.spec:
            logger.info(
                'the network sees what %s saw: %s, mean %s, std %s, %g m where depth is unknown, '
                'depth_fill %s',
                self._init.name,
                spec.channel_order,
                spec.mean,
                spec.std,
                spec.depth_fill_m,
                spec.depth_fill,
            )
        return spec

    def _check_architecture(self, network: SGNet, given: Mapping[str, Tensor]) -> None:
        """Raise CheckpointError, with the first tensors that do not fit."""
        source = self._checkpoint.config
        wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
        for name in class_tensors(network):
            wanted[name] = (source.num_classes, *wanted[name][1:])
        if not self._checkpoint.has_auxiliary:
            wanted = {n: s for n, s in wanted.items() if not n.startswith(AUXILIARY_PREFIX)}
        problems = list(islice(tensor_problems(wanted, given), PROBLEMS_NAMED))
        if not problems:
            return
        run = network.config.variant
        remedy = (
            f'remove variant from the settings to inherit {source.variant}, or start from a {run}'
            if source.variant != run
            else 'it was made by another version of this package; make it anew'
        )
        raise CheckpointError(
            f'{self._init} is a {source.variant} and does not fit the {run} of this run: '
            f'{"; ".join(problems)}; {remedy}'
        )


def inherited_settings(init: Path) -> dict[str, object]:
    """The settings of `TrainConfig` that a run from the checkpoint `init` takes from it.

    Raises:
        CheckpointError: it cannot be read.
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
    """In a word, what `Initialization.initialize` returned."""
    return origin if isinstance(origin, str) else str(origin['checkpoint'])


def _without_unused_head(
    source: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Their tensors, without those of an auxiliary head that the run does not have."""
    wants_auxiliary = any(name.startswith(AUXILIARY_PREFIX) for name in own)
    return {
        name: tensor
        for name, tensor in source.items()
        if wants_auxiliary or not name.startswith(AUXILIARY_PREFIX)
    }


def class_tensors(network: SGNet) -> list[str]:
    """Names of the tensors with a row for each class: of the last convolution of each head."""
    heads = {'head': network.head, 'auxiliary_head': network.auxiliary_head}
    names = []
    for name, head in heads.items():
        if head is not None:
            layers = [n for n, m in head.named_modules(prefix=name) if isinstance(m, nn.Conv2d)]
            names += [f'{layers[-1]}.weight', f'{layers[-1]}.bias']
    return names


def _rows_by_name(wanted: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """For each class of the run the row of the checkpoint of the same name; None = it has none.

    Case, spaces, underscores and hyphens make no difference: `Night_Stand` is `night stand`.
    """
    keys = [_normalized(name) for name in known]
    return [keys.index(_normalized(name)) if _normalized(name) in keys else None for name in wanted]


def _normalized(name: str) -> str:
    return re.sub(r'[\s_-]', '', name).casefold()


def _with_rows(fresh: Tensor, trained: Tensor, rows: Sequence[int | None]) -> Tensor:
    """`fresh` (C, ...) with row i from row `rows[i]` of `trained`, where that is not None."""
    merged = fresh.clone()
    for i, row in enumerate(rows):
        if row is not None:
            merged[i] = trained[row]
    return merged


def _class_changes(
    rows: Sequence[int | None], target: LabelSet, source: LabelSet
) -> dict[str, list[str]]:
    """Names of the classes taken over, new, and dropped."""
    pairs = list(zip(target.class_names, rows, strict=True))
    return {
        'classes_taken': [name for name, row in pairs if row is not None],
        'classes_new': [name for name, row in pairs if row is None],
        'classes_dropped': [n for i, n in enumerate(source.class_names) if i not in rows],
    }


def _summary(
    changes: Mapping[str, Sequence[str]], name: str, checkpoint: Checkpoint, network: SGNet
) -> str:
    """One line for people: what became of the heads."""
    taken, new, dropped = (
        changes['classes_taken'],
        changes['classes_new'],
        changes['classes_dropped'],
    )
    parts = [f'head: {len(taken)} of {len(taken) + len(new)} classes from {name} by name']
    parts += [
        f'{word}: {_shortened(names)}'
        for word, names in (('new', new), ('dropped', dropped))
        if names
    ]
    if network.auxiliary_head is not None:
        auxiliary = 'likewise' if checkpoint.has_auxiliary else 'new, it has none'
        parts.append(f'auxiliary head: {auxiliary}')
    elif checkpoint.has_auxiliary:
        parts.append('its auxiliary head: dropped, this run has none')
    return '; '.join(parts)


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - CLASSES_NAMED
    return ', '.join(names[:CLASSES_NAMED]) + (f' and {more} more' if more > 0 else '')
