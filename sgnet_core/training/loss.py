# SPDX-License-Identifier: Apache-2.0
"""The training loss: cross-entropy of the main and auxiliary scores, and distillation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgnet_core.model.sgnet import SGNet, resize_scores
from sgnet_core.training.config import TrainConfig
from sgnet_core.training.distillation import TeacherEnsemble
from sgnet_core.types import UNLABELLED

LOSS_TERMS = ('main', 'auxiliary', 'teachers')


class NetworkWithLoss(nn.Module):
    """A network and its loss in one module, as DistributedDataParallel needs it.

    Args:
        network: with or without auxiliary head.
        config: stride of the loss and weights of its terms.
        class_weights: (K,) float32; None for equal weights.
        dtype: precision of the network; the loss is float32.
        teachers: teacher networks; their loss is weighted by `config.teacher_weight`.
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
        self.register_buffer('class_weights', class_weights, persistent=False)

    def total_weight(self, labels: Tensor) -> Tensor:
        """(1,) float32: the summed class weights of the labelled pixels of labels (N, H, W)."""
        labels = self._strided(labels)
        labels = labels[labels != UNLABELLED]
        if self.class_weights is None:
            return labels.new_tensor([labels.numel()], dtype=torch.float32)
        return self.class_weights[labels].sum()[None]

    def forward(
        self, image: Tensor, spatial: Tensor, labels: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute the loss of a batch.

        Args:
            image: (N, 3, H, W) float32.
            spatial: (N, c', H, W) float32; c' = 0 if the network takes none.
            labels: (N, H, W) int64.
            weight: (1,), `total_weight` averaged over the processes.

        Returns:
            The loss, and its weighted terms (3,) without gradients, see `LOSS_TERMS`.
        """
        image = image.contiguous(memory_format=torch.channels_last)
        given = spatial if spatial.shape[1] else None
        with torch.autocast(image.device.type, self._dtype, self._dtype != torch.float32):
            scores, auxiliary = self.network.forward_with_auxiliary(image, given)
        # A batch without a labelled pixel must not divide 0 by 0.
        weight = weight.clamp(min=1e-6)
        terms = image.new_zeros(len(LOSS_TERMS))
        terms[0] = (1 - self._teacher_weight) * self._cross_entropy(scores, labels) / weight
        if auxiliary is not None:
            terms[1] = self._auxiliary_weight * self._cross_entropy(auxiliary, labels) / weight
        if self._teacher_weight:
            teachers = self._teachers.probabilities(image, given, scores.shape[2:])
            student = scores.float().log_softmax(1)
            # Kullback-Leibler divergence from the teachers, averaged over all pixels.
            divergence = F.kl_div(student, teachers, reduction='sum') / student[:, 0].numel()
            terms[2] = self._teacher_weight * divergence
        return terms.sum(), terms.detach()

    def _cross_entropy(self, scores: Tensor, labels: Tensor) -> Tensor:
        labels = self._strided(labels)
        scores = resize_scores(scores, labels.shape[1:])
        return F.cross_entropy(
            scores, labels, self.class_weights, ignore_index=UNLABELLED, reduction='sum'
        )

    def _strided(self, labels: Tensor) -> Tensor:
        stride = self._stride
        return labels[:, stride // 2 :: stride, stride // 2 :: stride]
