# SPDX-License-Identifier: Apache-2.0
"""Files: images, text, YAML, JSON, names inside a folder, atomic replacement."""
