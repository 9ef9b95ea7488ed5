# SPDX-License-Identifier: Apache-2.0
"""Bags: read, recover, write and play."""
