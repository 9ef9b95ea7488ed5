# SPDX-License-Identifier: Apache-2.0
"""Validates folder datasets before training."""
