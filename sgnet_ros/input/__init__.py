# SPDX-License-Identifier: Apache-2.0
"""From subscribed topics to RGB-D frames."""
