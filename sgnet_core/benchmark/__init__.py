# SPDX-License-Identifier: Apache-2.0
"""Measures latency and memory of whole networks, taking turns in one loop.

Nothing else in the package imports it.
"""
