# SPDX-License-Identifier: Apache-2.0
"""Device, distributed processes and environment."""
