# SPDX-License-Identifier: Apache-2.0
"""What a run minimises: cross-entropy of the main and the auxiliary scores."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgnet_core.model.sgnet import SGNet, resize_scores
from sgnet_core.training.config import TrainConfig
from sgnet_core.types import UNLABELLED


class Objective(nn.Module):
    """A network and its loss, so that one call can be shared between processes.

    Args:
        network: with or without auxiliary head.
        config: stride of the loss and weight of the auxiliary head.
        class_weights: (K,) float32; None where all classes weigh alike.
        dtype: the network computes in; the loss is float32.
    """

    def __init__(
        self,
        network: SGNet,
        config: TrainConfig,
        class_weights: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.network = network
        self._stride = config.loss_stride
        self._auxiliary_weight = config.auxiliary_weight
        self._dtype = dtype
        self.register_buffer('class_weights', class_weights, persistent=False)

    def weight_of(self, labels: Tensor) -> Tensor:
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
            weight: (1,) of the whole batch, see `weight_of`; the losses of its parts add up.

        Returns:
            The loss, and its parts (2,) without gradients: main and auxiliary, as weighed.
        """
        enabled = self._dtype != torch.float32
        image = image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(image.device.type, self._dtype, enabled=enabled):
            scores, auxiliary = self.network.forward_with_auxiliary(
                image, spatial if spatial.shape[1] else None
            )
        # Without a labelled pixel in the whole batch there is nothing to learn, and no 0 / 0.
        weight = weight.clamp(min=1e-6)
        main = self._cross_entropy(scores, labels) / weight
        if auxiliary is None:
            return main.sum(), torch.cat([main, torch.zeros_like(main)]).detach()
        extra = self._auxiliary_weight * self._cross_entropy(auxiliary, labels) / weight
        return (main + extra).sum(), torch.cat([main, extra]).detach()

    def _cross_entropy(self, scores: Tensor, labels: Tensor) -> Tensor:
        labels = self._strided(labels)
        scores = resize_scores(scores, labels.shape[1:])
        return F.cross_entropy(
            scores, labels, self.class_weights, ignore_index=UNLABELLED, reduction='sum'
        )

    def _strided(self, labels: Tensor) -> Tensor:
        stride = self._stride
        return labels[:, stride // 2 :: stride, stride // 2 :: stride]
