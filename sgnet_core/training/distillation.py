# SPDX-License-Identifier: Apache-2.0
"""Trained networks that a new one learns to agree with: knowledge distillation.

What a teacher thinks of a pixel says more than its label, and it says something of the pixels that
nobody labelled (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015). Several
teachers speak with one voice, their mean. They see the very crop the student sees (Beyer et
al., "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.checkpoint.checkpoint import differences, load_checkpoint
from sgnet_core.errors import ConfigError
from sgnet_core.labels import LabelSet
from sgnet_core.model.fusion import fuse
from sgnet_core.model.sgnet import resize_scores
from sgnet_core.preprocessing import SIZE_MULTIPLE, InputSpec
from sgnet_core.runtime.environment import bf16_is_fast


class TeacherEnsemble:
    """Networks that stay as they are.

    Args:
        paths: their checkpoints; may be none.
        spec, label_set: of the student; a teacher must see alike, at whatever size, and tell the
            same classes apart.
        device: they compute on; in bfloat16, which is enough for probabilities, where it is fast.
        scale: they see every crop a second time, larger by this factor; 1 = only as it is.
        joint_bilateral: whether their scores follow edges; as those of the student, whatever they
            learned with, so that both speak of the same pixels.

    Raises:
        CheckpointError: a file is not a checkpoint.
        ConfigError: a teacher sees, or tells apart, something else than the student.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        spec: InputSpec,
        label_set: LabelSet,
        device: str,
        scale: float = 1.0,
        joint_bilateral: bool = False,
    ) -> None:
        self._scale = scale
        self._dtype = torch.bfloat16 if device != 'cpu' or bf16_is_fast() else torch.float32
        self._networks = []
        for path in paths:
            checkpoint = load_checkpoint(path)
            if checkpoint.label_set.class_names != label_set.class_names:
                raise ConfigError(
                    f'{path} cannot teach: its {len(checkpoint.label_set)} classes are not the '
                    f'{len(label_set)} of this data set, by name and order'
                )
            other = differences(checkpoint.input_spec.at_size(spec.size), spec)
            if other:
                raise ConfigError(
                    f'{path} cannot teach: it sees something else than the student ({other})'
                )
            config = replace(checkpoint.config, joint_bilateral=joint_bilateral)
            network = fuse(replace(checkpoint, config=config).build())
            self._networks.append(
                network.to(device, self._dtype, memory_format=torch.channels_last)
            )

    def __len__(self) -> int:
        return len(self._networks)

    @torch.no_grad()
    def probabilities(self, image: Tensor, spatial: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(N, K, *size) float32: the mean of what the teachers hold each class for.

        Args:
            image, spatial: of the student, see `SGNet.forward`.
        """
        probabilities = [
            resize_scores(network(*inputs), size).softmax(1)
            for inputs in self._scales(image.to(self._dtype), spatial)
            for network in self._networks
        ]
        return torch.stack(probabilities).mean(0)

    def _scales(
        self, image: Tensor, spatial: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The view as it is, and rescaled as near as the network's steps allow."""
        yield image, spatial
        size = [
            max(round(n * self._scale / SIZE_MULTIPLE), 1) * SIZE_MULTIPLE for n in image.shape[2:]
        ]
        if size != [*image.shape[2:]]:
            # As by a longer focal length: metres stay metres.
            yield _resized(image, size), None if spatial is None else _resized(spatial, size)


def _resized(x: Tensor, size: list[int]) -> Tensor:
    return F.interpolate(x, size, mode='bilinear', align_corners=False)
