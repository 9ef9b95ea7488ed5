# SPDX-License-Identifier: Apache-2.0
"""RGB-D semantic segmentation with S-Conv and SGNet: model, data, training, evaluation.

Importing this package is light: torch is loaded only by the modules that need it.
"""
