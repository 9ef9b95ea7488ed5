# SPDX-License-Identifier: Apache-2.0
"""Finds in a folder data set what ruins trainings."""
