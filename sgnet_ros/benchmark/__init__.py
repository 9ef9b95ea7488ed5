# SPDX-License-Identifier: Apache-2.0
"""Measures the node from outside: camera, node and listener are three processes over DDS.

Nothing else in the package imports it.
"""
