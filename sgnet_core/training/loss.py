# SPDX-License-Identifier: Apache-2.0
"""What a run minimises: cross-entropy of the main and the auxiliary scores with the labels, and how
far the main ones are from those of teachers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgnet_core.model.sgnet import SGNet, resize_scores
from sgnet_core.training.config import TrainConfig
from sgnet_core.training.distillation import TeacherEnsemble
from sgnet_core.types import UNLABELLED

LOSS_TERMS = ('main', 'auxiliary', 'teachers')
"""Of the loss."""


class NetworkWithLoss(nn.Module):
    """A network and its loss, so that one call can be shared between processes.

    Args:
        network: with or without auxiliary head.
        config: stride of the loss, weights of its terms.
        class_weights: (K,) float32; None where all classes weigh alike.
        dtype: the network computes in; the loss is float32.
        teachers: whose word counts beside the labels', for `config.teacher_weight`.
    """

    def __init__(
        self,
        network: SGNet,
        config: TrainConfig,
        class_weights: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        teachers: TeacherEnsemble | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._stride = config.loss_stride
        self._auxiliary_weight = config.auxiliary_weight
        self._dtype = dtype
        self._teachers = teachers
        self._teacher_weight = config.teacher_weight if teachers else 0.0
        self._accumulate = config.accumulate
        self.register_buffer('class_weights', class_weights, persistent=False)

    def total_weight(self, labels: Tensor) -> Tensor:
        """(1,) float32: what the labelled pixels of labels (N, H, W) weigh together."""
        labels = self._strided(labels)
        labels = labels[labels != UNLABELLED]
        if self.class_weights is None:
            return labels.new_tensor([labels.numel()], dtype=torch.float32)
        return self.class_weights[labels].sum()[None]

    def forward(
        self, image: Tensor, spatial: Tensor, labels: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loss of (part of) a batch.

        Args:
            image: (N, 3, H, W) float32.
            spatial: (N, c', H, W) float32; c' = 0 where the network takes none.
            labels: (N, H, W) int64.
            weight: (1,) of the whole batch, see `total_weight`; the losses of its terms add up.

        Returns:
            The loss, and its terms (3,) without gradients: `LOSS_TERMS`, as weighed.
        """
        enabled = self._dtype != torch.float32
        image = image.contiguous(memory_format=torch.channels_last)
        given = spatial if spatial.shape[1] else None
        with torch.autocast(image.device.type, self._dtype, enabled=enabled):
            scores, auxiliary = self.network.forward_with_auxiliary(image, given)
        # Without a labelled pixel in the whole batch there is nothing to learn, and no 0 / 0.
        weight = weight.clamp(min=1e-6)
        terms = image.new_zeros(len(LOSS_TERMS))
        terms[0] = (1 - self._teacher_weight) * self._cross_entropy(scores, labels) / weight
        if auxiliary is not None:
            terms[1] = self._auxiliary_weight * self._cross_entropy(auxiliary, labels) / weight
        if self._teacher_weight:
            terms[2] = (
                self._teacher_weight
                * self._distillation_loss(scores, image, given)
                / self._accumulate
            )
        return terms.sum(), terms.detach()

    def _cross_entropy(self, scores: Tensor, labels: Tensor) -> Tensor:
        labels = self._strided(labels)
        scores = resize_scores(scores, labels.shape[1:])
        return F.cross_entropy(
            scores, labels, self.class_weights, ignore_index=UNLABELLED, reduction='sum'
        )

    def _distillation_loss(self, scores: Tensor, image: Tensor, spatial: Tensor | None) -> Tensor:
        """Of the scores from the teachers' word (Kullback-Leibler), the mean over all pixels,
        unlabelled ones too."""
        teacher_probabilities = self._teachers.probabilities(image, spatial, scores.shape[2:])
        student_log_probabilities = scores.float().log_softmax(1)
        return (
            F.kl_div(student_log_probabilities, teacher_probabilities, reduction='sum')
            / student_log_probabilities[:, 0].numel()
        )

    def _strided(self, labels: Tensor) -> Tensor:
        stride = self._stride
        return labels[:, stride // 2 :: stride, stride // 2 :: stride]
