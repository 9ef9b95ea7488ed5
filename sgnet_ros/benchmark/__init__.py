# SPDX-License-Identifier: Apache-2.0
"""Measures the node from the outside: a camera, the node and a listener, three processes over DDS.

Nothing else in the package imports it: what is measured does not know that it is.
"""
