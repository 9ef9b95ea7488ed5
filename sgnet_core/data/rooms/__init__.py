# SPDX-License-Identifier: Apache-2.0
"""Generated indoor rooms: exact depth, exact labels, known poses, nothing to download."""

from sgnet_core.data.rooms.dataset import RoomDataset

__all__ = ['RoomDataset']
