# SPDX-License-Identifier: Apache-2.0
"""How good masks are: one implementation for data sets and for bags, offline and live."""

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
