# SPDX-License-Identifier: Apache-2.0
"""Turns what an evaluation measured into a page that a person likes to read."""
