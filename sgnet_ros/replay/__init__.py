# SPDX-License-Identifier: Apache-2.0
"""Replays bags through the node or offline, and scores the masks."""
