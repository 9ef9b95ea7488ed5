# SPDX-License-Identifier: Apache-2.0
"""Operators in plain PyTorch and Triton. Knows nothing of networks."""
