# SPDX-License-Identifier: Apache-2.0
"""Gives memory back to other processes once a network is let go of."""

import gc

import torch


def free_memory() -> None:
    """Free what nobody holds: networks that hold themselves, and what PyTorch keeps for later."""
    gc.collect()
    torch.cuda.empty_cache()
