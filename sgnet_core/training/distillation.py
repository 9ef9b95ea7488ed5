# SPDX-License-Identifier: Apache-2.0
"""Knowledge distillation: the mean prediction of teacher networks is a second target.

Soft targets carry more information than labels and also cover unlabelled pixels (Hinton et al.,
"Distilling the Knowledge in a Neural Network", 2015). Teachers see exactly the crop of the student
(Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgnet_core.checkpoint.checkpoint import differences, load_checkpoint
from sgnet_core.errors import ConfigError
from sgnet_core.labels import LabelSet
from sgnet_core.model.fusion import FusedSGNet, fuse
from sgnet_core.model.sgnet import resize_scores
from sgnet_core.preprocessing import SIZE_MULTIPLE, InputSpec
from sgnet_core.runtime.environment import bf16_is_fast
from sgnet_core.training.config import TrainConfig


class TeacherEnsemble:
    """Frozen teacher networks.

    Args:
        paths: checkpoints of the teachers; may be empty.
        spec, label_set: of the student. A teacher needs the same spatial information and the same
            classes; its input size and its normalisation of colour may differ.
        device: device of the teachers. They compute in bfloat16 if that is fast.
        config: `teacher_scale`, and `joint_bilateral`, which teachers share with the student.

    Raises:
        CheckpointError: a file is not a checkpoint.
        ConfigError: a teacher expects a different input or other classes than the student.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        spec: InputSpec,
        label_set: LabelSet,
        device: str,
        config: TrainConfig,
    ) -> None:
        self._scale = config.teacher_scale
        self._dtype = torch.bfloat16 if device != 'cpu' or bf16_is_fast() else torch.float32
        self._networks: list[tuple[FusedSGNet, ColourConversion]] = []
        for path in paths:
            checkpoint = load_checkpoint(path)
            if checkpoint.label_set.class_names != label_set.class_names:
                raise ConfigError(
                    f'teacher {path} has {len(checkpoint.label_set)} classes, the dataset has '
                    f'{len(label_set)}; their names and order must be equal'
                )
            colour = {name: getattr(spec, name) for name in ('channel_order', 'mean', 'std')}
            alike = replace(checkpoint.input_spec.at_size(spec.size), **colour)
            if other := differences(alike, spec):
                raise ConfigError(
                    f'teacher {path} expects a different input than the student: {other}'
                )
            architecture = replace(checkpoint.config, joint_bilateral=config.joint_bilateral)
            network = fuse(replace(checkpoint, config=architecture).build())
            network.to(device, self._dtype, memory_format=torch.channels_last)
            conversion = ColourConversion(spec, checkpoint.input_spec).to(device, self._dtype)
            self._networks.append((network, conversion))

    def __len__(self) -> int:
        return len(self._networks)

    @torch.no_grad()
    def probabilities(self, image: Tensor, spatial: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(N, K, *size) float32: mean class probabilities of the teachers.

        Args:
            image, spatial: input of the student, see `SGNet.forward`.
        """
        inputs = [(image.to(self._dtype), spatial)]
        scaled = [
            max(round(n * self._scale / SIZE_MULTIPLE), 1) * SIZE_MULTIPLE for n in image.shape[2:]
        ]
        if scaled != [*image.shape[2:]]:
            # Enlarging acts like a longer focal length: depth in metres does not change.
            resize = partial(F.interpolate, size=scaled, mode='bilinear', align_corners=False)
            inputs.append(tuple(x if x is None else resize(x) for x in inputs[0]))
        probabilities = [
            resize_scores(network(conversion(colour), depth), size).softmax(1)
            for colour, depth in inputs
            for network, conversion in self._networks
        ]
        return torch.stack(probabilities).mean(0)


class ColourConversion(nn.Module):
    """Converts images (N, 3, H, W) from the normalisation of one `InputSpec` to that of another."""

    def __init__(self, source: InputSpec, target: InputSpec) -> None:
        super().__init__()
        self._flips = source.channel_order != target.channel_order
        order = -1 if self._flips else 1
        mean, std = torch.tensor(target.mean), torch.tensor(target.std)
        self.register_buffer('factor', (torch.tensor(source.std[::order]) / std)[:, None, None])
        offset = (torch.tensor(source.mean[::order]) - mean) / std
        self.register_buffer('offset', offset[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        image = image.flip(1) if self._flips else image
        return image * self.factor + self.offset
