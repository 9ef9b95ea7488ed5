# SPDX-License-Identifier: Apache-2.0
"""Pairs colour and depth by stamp. Knows nothing of ROS."""
