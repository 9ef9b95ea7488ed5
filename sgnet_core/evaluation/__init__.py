# SPDX-License-Identifier: Apache-2.0
"""Metrics of masks, for datasets and for bags."""

from sgnet_core.evaluation.confusion_matrix import ConfusionMatrix
from sgnet_core.evaluation.evaluation import PROTOCOL, Evaluation, FrameScores
from sgnet_core.evaluation.evaluator import check_same_classes, evaluate

__all__ = [
    'PROTOCOL',
    'ConfusionMatrix',
    'Evaluation',
    'FrameScores',
    'check_same_classes',
    'evaluate',
]
