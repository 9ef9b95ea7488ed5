# SPDX-License-Identifier: Apache-2.0
"""Measures the operator, the networks and the memory of a training step, fairly and side by side.

Nothing else in the package imports it: what is measured does not know that it is.
"""
