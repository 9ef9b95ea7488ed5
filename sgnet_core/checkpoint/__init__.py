# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: the format, conversion, averaging, and pretrained backbones."""
