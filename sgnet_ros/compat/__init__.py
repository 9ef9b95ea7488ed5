# SPDX-License-Identifier: Apache-2.0
"""Differences between ROS distributions, and running without one."""
