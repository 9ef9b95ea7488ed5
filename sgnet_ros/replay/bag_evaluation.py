# SPDX-License-Identifier: Apache-2.0
"""Evaluates the frames of a bag: offline in this process, or online with the node.

After Ctrl-C the results cover the frames so far.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from operator import length_hint
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sgnet_core.evaluation import Evaluation, FrameScores, check_same_classes, evaluate
from sgnet_core.evaluation.evaluator import FrameCallback
from sgnet_core.evaluation.provenance import provenance
from sgnet_core.evaluation.scored_classes import ScoredClasses
from sgnet_core.inference.class_mapping import read_class_mapping
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.inference.temporal_fusion import Fuse, TemporalFusion
from sgnet_core.labels import LabelSet, label_set_of
from sgnet_core.types import Sample, SegmentationResult
from sgnet_ros.bag.frames import BagFrames, stamp_of
from sgnet_ros.bag.mask_writer import MaskWriter
from sgnet_ros.bag.reader import Bag
from sgnet_ros.bag.writer import BagWriter
from sgnet_ros.compat.dds_profile import large_image_profile
from sgnet_ros.compat.ros_domain import private_domain
from sgnet_ros.compat.signals import interruptible
from sgnet_ros.replay.options import replay_config
from sgnet_ros.replay.result import ReplayResult
from sgnet_ros.replay.session import ReplaySession
from sgnet_ros.topics import BUNDLED_MODEL

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BagEvaluation:
    """The results of a bag; `replay` is None for offline evaluation.

    With `--temporal`, `without_past` has the same frames with `temporal.mode` off.
    """

    counts: Evaluation
    label_set: LabelSet
    network: str
    provenance: dict[str, Any]
    interrupted: bool
    replay: ReplayResult | None = None
    without_past: Evaluation | None = None


class BagEvaluator:
    """Evaluates one bag with the options of `evaluate_bag`; `on_frame` gets every counted frame."""

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
        paths = {'name': args.bag, 'labels': args.labels, 'remap': args.remap}
        self._data = {key: path.name for key, path in paths.items() if path is not None}

    def offline(self) -> BagEvaluation:
        """Segment every frame in this process; with `--temporal` twice, with and without."""
        args = self._args
        segmenter = Segmenter.from_checkpoint(
            args.checkpoint, args.device, args.precision, args.backend
        )
        classes = self._classes(segmenter.class_names)
        counts, without = Evaluation(classes.class_names), None
        fuse_of = _fuse_of(TemporalFusion()) if args.temporal else None
        with self._frame_callback(classes) as on_frame, interruptible() as stop:

            def count(evaluation: Evaluation, *options: Callable | None) -> None:
                samples = takewhile(lambda _: not stop.is_set(), self._frames)
                # Before the first transform there may be nothing to compare with.
                known = (s for s in samples if s.labels is not None or s.pose is not None)
                evaluate(
                    classes.segmenter(segmenter),
                    map(classes.sample, known),
                    length_hint(self._frames),
                    True,
                    evaluation,
                    *options,
                )

            count(counts, on_frame, fuse_of)
            if args.temporal:
                without = Evaluation(classes.class_names)
                count(without)
        network = segmenter.description
        origin = provenance(
            args.command_line, args.checkpoint, network, segmenter.device, self._data
        )
        interrupted = stop.is_set()
        return BagEvaluation(
            counts, classes.label_set, network, origin, interrupted, without_past=without
        )

    def online(self) -> BagEvaluation:
        """Play the bag to the node, in a private ROS domain for a node that is started."""
        args = self._args
        if args.node is None:
            os.environ.update(private_domain(os.environ))
        os.environ.update(large_image_profile(os.environ))
        with interruptible() as stop:
            with tempfile.TemporaryDirectory(prefix='evaluate_bag_') as logs:
                config = replay_config(args, Path(logs), length_hint(self._frames))
                replay = ReplaySession(config, stop, on_ready=self._classes).run()
            classes = self._classes(replay.class_names)
            counts = Evaluation(classes.class_names)
            # After one Ctrl-C, the masks so far are compared; a second one ends that as well.
            with self._frame_callback(classes) as on_frame, interruptible() as stop_comparing:
                frames = takewhile(lambda _: not stop_comparing.is_set(), self._frames)
                for sample, result, latency_s in _masks(replay, frames, classes):
                    on_frame(sample, result, counts.update(sample, result, latency_s))
        interrupted = stop.is_set() or stop_comparing.is_set()
        network = replay.about.get('network', '')
        origin = self._provenance(replay)
        return BagEvaluation(counts, classes.label_set, network, origin, interrupted, replay)

    def _classes(self, predicted: tuple[str, ...]) -> ScoredClasses:
        """The classes to compare; raises InputError if they differ and `--remap` is not given."""
        args, truth = self._args, self._frames.class_names
        if truth is None:
            _logger.warning(
                '%s: class names of the labels are unknown (no %s); using the %d of the checkpoint',
                args.labels or args.bag,
                'dataset.yaml' if args.labels else args.label_names_topic,
                len(predicted),
            )
        elif self._remap is None:
            check_same_classes(label_set_of(predicted), truth, str(args.labels or args.bag))
        return ScoredClasses(truth or predicted, predicted, self._remap)

    @contextmanager
    def _frame_callback(self, classes: ScoredClasses) -> Iterator[FrameCallback]:
        """A function that passes each frame to `--write-bag` and to `on_frame`."""
        with ExitStack() as stack:
            masks = None
            if self._args.write_bag is not None:
                new_bag = stack.enter_context(BagWriter(self._args.write_bag))
                rgb_topic = self._frames.topics.rgb
                masks = MaskWriter(new_bag, self._bag, rgb_topic, classes.label_set)

            def on_frame(sample: Sample, result: SegmentationResult, scores: FrameScores) -> None:
                if masks is not None:
                    masks.write(sample, result)
                if self._on_frame is not None:
                    self._on_frame(sample, result, scores)

            yield on_frame

    def _provenance(self, replay: ReplayResult) -> dict[str, Any]:
        """As `provenance`; for a node that was running, what it reports."""
        about, command, data = replay.about, self._args.command_line, self._data
        checkpoint = about.get('checkpoint', '')
        if self._args.node is None:
            file = None if checkpoint == BUNDLED_MODEL else checkpoint
            return provenance(command, file, about['network'], about['device'], data)
        return {
            'command': command,
            'checkpoint': {'network': about.get('network', ''), 'file': Path(checkpoint).name},
            'data': data,
            'machine': {'device': about.get('device', '')},
        }


def _fuse_of(fusion: TemporalFusion) -> Callable[[Sample], Fuse]:
    return lambda sample: partial(fusion.fuse, pose=sample.pose, stamp_ns=stamp_of(sample))


def _masks(
    replay: ReplayResult, frames: Iterable[Sample], classes: ScoredClasses
) -> Iterator[tuple[Sample, SegmentationResult, float]]:
    """Each played frame with its mask and the latency in seconds."""
    with tqdm(total=len(replay.masks), desc='compare', unit='frame', disable=None) as bar:
        for sample in map(classes.sample, frames):
            stamp = stamp_of(sample)
            if stamp not in replay.sent_stamps:
                return
            if stamp in replay.masks:
                mask = replay.masks[stamp]
                labels = classes.mask(mask.load())
                # The node does not publish confidence: that would make it slower.
                unknown = np.zeros(labels.shape, np.float32)
                result = SegmentationResult(labels, unknown, classes.class_names)
                yield sample, result, mask.latency_ms / 1000
                bar.update()
