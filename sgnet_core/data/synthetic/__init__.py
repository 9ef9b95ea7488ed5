# SPDX-License-Identifier: Apache-2.0
"""Synthetic indoor rooms with exact depth, exact labels and known poses; no download needed."""

from sgnet_core.data.synthetic.dataset import RoomDataset

__all__ = ['RoomDataset']
