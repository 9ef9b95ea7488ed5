# SPDX-License-Identifier: Apache-2.0
"""From a frame to a segmentation result."""
