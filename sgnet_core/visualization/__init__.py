# SPDX-License-Identifier: Apache-2.0
"""Overlays and figures."""
