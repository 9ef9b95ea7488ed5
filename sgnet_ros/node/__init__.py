# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node and its worker."""
