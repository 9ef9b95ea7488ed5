# SPDX-License-Identifier: Apache-2.0
"""Files: images, JSON, atomic replacement."""
