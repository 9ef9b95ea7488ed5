# SPDX-License-Identifier: Apache-2.0
"""Device, processes and environment of a computation."""
