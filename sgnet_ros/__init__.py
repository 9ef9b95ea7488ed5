# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 adapter of sgnet_core: messages, time synchronisation, node, bags."""
