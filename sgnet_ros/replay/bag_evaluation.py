# SPDX-License-Identifier: Apache-2.0
"""Scores the frames of a bag: masks made here, or by the node that the bag is played to.

Whoever makes the masks, one `Evaluation` counts them. Ctrl-C ends it; what was seen is scored.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import takewhile
from operator import length_hint
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sgnet_core.evaluation import Evaluation, FrameScores, check_same_classes, evaluate
from sgnet_core.evaluation.class_mapping import ScoredClasses, read_class_mapping
from sgnet_core.evaluation.evaluator import FrameCallback
from sgnet_core.evaluation.provenance import provenance
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import LabelSet, label_set_of
from sgnet_core.types import Sample, SegmentationResult
from sgnet_ros.bag.frames import BagFrames, stamp_of
from sgnet_ros.bag.mask_writer import MaskWriter
from sgnet_ros.bag.reader import Bag
from sgnet_ros.compat.dds_profile import large_image_profile
from sgnet_ros.compat.ros_domain import own_domain
from sgnet_ros.compat.signals import interruptible
from sgnet_ros.replay.options import replay_config
from sgnet_ros.replay.result import ReplayResult
from sgnet_ros.replay.session import run_session
from sgnet_ros.topics import BUNDLED_MODEL

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BagEvaluation:
    """What came of a bag.

    Attributes:
        counts: over its labelled frames.
        network: a line about it.
        provenance: for the report.
        interrupted: by Ctrl-C, before the end of the bag.
        replay: of the node; None where masks were made here.
    """

    counts: Evaluation
    network: str
    provenance: dict[str, Any]
    interrupted: bool
    replay: ReplayResult | None = None

    @property
    def label_set(self) -> LabelSet:
        """The classes that were scored."""
        return label_set_of(self.counts.class_names)


class BagEvaluator:
    """Scores one bag, as the options of `evaluate_bag` have it.

    Args:
        on_frame: is given every frame that was counted; see `sgnet_core.evaluation.evaluate`.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        bag: Bag,
        frames: BagFrames,
        on_frame: FrameCallback | None = None,
    ) -> None:
        self._args = args
        self._bag = bag
        self._frames = frames
        self._on_frame = on_frame
        self._remap = None if args.remap is None else read_class_mapping(args.remap)

    def offline(self) -> BagEvaluation:
        """Segment every frame in this process."""
        args = self._args
        segmenter = Segmenter.from_checkpoint(
            args.checkpoint, args.device, args.precision, args.backend
        )
        classes = self._classes(segmenter.class_names)
        counts = Evaluation(classes.class_names)
        with self._mask_writer(classes) as masks, interruptible() as stop:
            samples = takewhile(lambda _: not stop.is_set(), self._frames)
            evaluate(
                classes.segmenter(segmenter),
                map(classes.sample, samples),
                length_hint(self._frames),
                evaluation=counts,
                on_frame=self._frame_callback(masks),
            )
        network = segmenter.description
        origin = provenance(
            args.command_line, args.checkpoint, network, segmenter.device, self._data()
        )
        return BagEvaluation(counts, network, origin, stop.is_set())

    def online(self) -> BagEvaluation:
        """Play the bag to the node, in a ROS domain of our own unless one is chosen."""
        args = self._args
        if args.node is None:
            os.environ.update(own_domain(os.environ))
        os.environ.update(large_image_profile(os.environ))
        with interruptible() as stop:
            with tempfile.TemporaryDirectory(prefix='evaluate_bag_') as logs:
                run = replay_config(args, Path(logs), length_hint(self._frames))
                replay = run_session(run, stop, on_ready=self._classes)
            classes = self._classes(replay.class_names)
            counts = Evaluation(classes.class_names)
            # What came before Ctrl-C is compared all the same, until there is another.
            with self._mask_writer(classes) as masks, interruptible() as impatient:
                samples = takewhile(lambda _: not impatient.is_set(), self._frames)
                self._count(replay, map(classes.sample, samples), classes, counts, masks)
        return BagEvaluation(
            counts,
            replay.about.get('network', ''),
            self._origin_of(replay),
            stop.is_set() or impatient.is_set(),
            replay,
        )

    def _count(
        self,
        replay: ReplayResult,
        samples: Iterable[Sample],
        classes: ScoredClasses,
        counts: Evaluation,
        masks: MaskWriter | None,
    ) -> None:
        """Masks of the node against labels of their own stamp, as far as the bag was played."""
        on_frame = self._frame_callback(masks)
        bar = tqdm(total=len(replay.masks), desc='compare', unit='frame', disable=None)
        for sample in samples:
            stamp = stamp_of(sample)
            if stamp not in replay.sent_stamps:
                break
            if stamp not in replay.masks:
                continue
            mask = replay.masks[stamp]
            labels = classes.mask(mask.load())
            # Nobody asks the node for its confidence: that would make it slower.
            unknown = np.zeros(labels.shape, np.float32)
            result = SegmentationResult(labels, unknown, classes.class_names)
            on_frame(sample, result, counts.update(sample, result, mask.latency_ms / 1000))
            bar.update()
        bar.close()

    def _classes(self, predicted: tuple[str, ...]) -> ScoredClasses:
        """What is compared with what.

        Raises:
            InputError: labels and masks are of different classes, and no remapping makes them one.
        """
        args, truth = self._args, self._frames.class_names
        if truth is None:
            _logger.warning(
                '%s: no %s says what the labels mean; taking them for the %d classes of the '
                'checkpoint',
                args.labels or args.bag,
                'dataset.yaml' if args.labels else args.label_names_topic,
                len(predicted),
            )
        elif self._remap is None:
            check_same_classes(label_set_of(predicted), truth, str(args.labels or args.bag))
        return ScoredClasses(truth or predicted, predicted, self._remap)

    def _mask_writer(self, classes: ScoredClasses) -> AbstractContextManager[MaskWriter | None]:
        out = self._args.write_bag
        if out is None:
            return nullcontext()
        return MaskWriter(out, self._bag, self._frames.topics.rgb, classes.class_names)

    def _frame_callback(self, masks: MaskWriter | None) -> FrameCallback:
        """Shows each frame to the mask bag and to whoever else watches."""

        def on_frame(sample: Sample, result: SegmentationResult, scores: FrameScores) -> None:
            if masks is not None:
                masks.write(sample, result)
            if self._on_frame is not None:
                self._on_frame(sample, result, scores)

        return on_frame

    def _data(self) -> dict[str, str]:
        args = self._args
        paths = {'name': args.bag, 'labels': args.labels, 'remap': args.remap}
        return {key: path.name for key, path in paths.items() if path is not None}

    def _origin_of(self, replay: ReplayResult) -> dict[str, Any]:
        """As `provenance`; of somebody else's node, maybe of another machine, what it says."""
        about, args = replay.about, self._args
        checkpoint = about.get('checkpoint', '')
        if args.node is None:
            file = None if checkpoint == BUNDLED_MODEL else checkpoint
            return provenance(
                args.command_line, file, about['network'], about['device'], self._data()
            )
        return {
            'command': args.command_line,
            'checkpoint': {'network': about.get('network', ''), 'file': Path(checkpoint).name},
            'data': self._data(),
            'machine': {'device': about.get('device', '')},
        }
