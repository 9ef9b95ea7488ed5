# SPDX-License-Identifier: Apache-2.0
"""Where the first weights of a run come from: a checkpoint, ImageNet, or chance."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from sgnet_core.checkpoint import load_checkpoint
from sgnet_core.errors import ConfigError
from sgnet_core.evaluation import check_same_classes
from sgnet_core.input_spec import InputSpec
from sgnet_core.labels import LabelSet
from sgnet_core.model.sgnet import SGNet
from sgnet_core.training.config import TrainConfig
from sgnet_core.training.imagenet import IMAGENET_MEAN, IMAGENET_STD, load_imagenet_weights


class InitialWeights:
    """What a run starts from.

    Attributes:
        spec: what the network of the run sees.
    """

    def __init__(self, config: TrainConfig, init: Path | None) -> None:
        """Open the checkpoint `init`, where one is given.

        Raises:
            CheckpointError: it cannot be read.
            ConfigError: it is of another architecture or input than the run.
        """
        self._config, self._init = config, init
        self._checkpoint = None if init is None else load_checkpoint(init)
        self.spec = InputSpec(
            *config.input_size, 'rgb', IMAGENET_MEAN, IMAGENET_STD, config.spatial
        )
        if self._checkpoint is not None:
            theirs = self._checkpoint.input_spec
            sizeless = dataclasses.replace(theirs, height=32, width=32)
            if sizeless != dataclasses.replace(self.spec, height=32, width=32):
                raise ConfigError(f'{init} sees {theirs}, this run {self.spec}')

    @property
    def trained(self) -> bool:
        """Whether the backbone has learned something already."""
        return self._checkpoint is not None or self._config.pretrained

    def load_into(self, network: SGNet, label_set: LabelSet) -> str | dict[str, Any]:
        """Fill in the first weights and say where they come from, for the provenance.

        Raises:
            ConfigError: the checkpoint does not fit, or there are no ImageNet weights.
            InputError: the checkpoint has other classes.
        """
        if self._checkpoint is None or self._init is None:
            return load_imagenet_weights(network) if self._config.pretrained else 'random weights'
        checkpoint = self._checkpoint
        check_same_classes(checkpoint.label_set, label_set.class_names, 'the data')
        if checkpoint.config != network.config:
            raise ConfigError(f'{self._init} is a {checkpoint.config}, wanted {network.config}')
        auxiliary = checkpoint.has_auxiliary and network.auxiliary_head is not None
        # `build` has seen to it that only the auxiliary head can be missing.
        network.load_state_dict(checkpoint.build(auxiliary).state_dict(), strict=False)
        return {'checkpoint': self._init.name, **checkpoint.provenance}
