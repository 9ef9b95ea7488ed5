# SPDX-License-Identifier: Apache-2.0
"""Counters, diagnostics, and causes of missing output."""
