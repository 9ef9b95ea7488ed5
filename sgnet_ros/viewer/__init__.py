# SPDX-License-Identifier: Apache-2.0
"""Shows frames and masks in a browser, by rerun."""
