# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `segmentation`: connects subscriber, worker, network and publishers."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription
from rclpy.task import Future
from sensor_msgs.msg import Image

from sgnet_core.errors import ConfigError, SgnetError, first_line, reject_unknown_keys
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.runtime.device import free_memory, resolve_device
from sgnet_ros.compat import ros_api
from sgnet_ros.compat.logging_bridge import forward_logging, stop_forwarding
from sgnet_ros.conversions.images import stamp_ns
from sgnet_ros.input.camera_info import Cameras
from sgnet_ros.input.frame_builder import FrameBuilder
from sgnet_ros.input.rgbd_subscriber import RgbdSubscriber
from sgnet_ros.monitoring.causes import NO_SUBSCRIBER
from sgnet_ros.monitoring.counters import Counters
from sgnet_ros.monitoring.diagnostics import Diagnostics
from sgnet_ros.monitoring.input_errors import InputErrors
from sgnet_ros.monitoring.stage_timer import WAIT, StageTimer
from sgnet_ros.node.callbacks import reject_invalid_requests, tolerant
from sgnet_ros.node.classes import check_classes, with_groups
from sgnet_ros.node.inference_worker import InferenceWorker
from sgnet_ros.node.pipeline import Pipeline, new_fusion
from sgnet_ros.node.publishers import Publishers
from sgnet_ros.node.segmented_frame import SegmentedFrame, check_stride
from sgnet_ros.node.services import Services
from sgnet_ros.node.snapshot import snapshot_folder, write_snapshot
from sgnet_ros.node.watchdog import OutputWatchdog
from sgnet_ros.node_parameters import NodeParameters
from sgnet_ros.parameters import (
    CLASS_LISTS,
    KNOWN,
    NODE_PARAMETERS,
    QUEUE_CAPACITY,
    converted,
)
from sgnet_ros.topics import BUNDLED_MODEL, check_topic_types


class SegmentationNode(LifecycleNode):
    """Publishes class masks of RGB-D frames. Callbacks only store messages; a worker computes.

    `topics.py` lists the topics and services.

    Args:
        load_segmenter: called on configuration with (checkpoint, device, precision, backend,
            input size), like `Segmenter.from_checkpoint`.
        node_arguments: for `rclpy.node.Node`.

    Attributes:
        segmenter: the network; None = not configured.
        latest: the latest frame and its result, if any.
        is_segmenting: whether a frame is in progress.
        counters: counts of messages, pairs, masks and drops.
        failed: a future, done when an error has ended the worker.
        failure: this error, or the error that prevented the start.

    Raises:
        ConfigError: a parameter is invalid.
    """

    def __init__(self, load_segmenter: Callable[..., Segmenter], **node_arguments: Any) -> None:
        super().__init__(
            'segmentation', automatically_declare_parameters_from_overrides=True, **node_arguments
        )
        self._log_forwarding = forward_logging(self.get_logger())
        self._load_segmenter = load_segmenter
        self.segmenter: Segmenter | None = None
        self._checked: Segmenter | None = None  # of the parameters that are being set
        self._checkpoint = ''
        self._fusion = None
        self._starting = False
        self.latest: SegmentedFrame | None = None
        self.is_segmenting = False
        self._frame_builder: FrameBuilder | None = None
        self._subscriber: RgbdSubscriber | None = None
        self._output_publishers: Publishers | None = None
        self._worker: InferenceWorker | None = None
        self._watchdog: OutputWatchdog | None = None
        self.counters = Counters()
        self.failed = Future()
        self.failure: BaseException | None = None
        # rclpy owns the name _services.
        self._service_calls = Services(
            self, self._set_active, self._reload_model, self._save_snapshot
        )
        try:
            self.parameters = NodeParameters(
                self, lambda: self.segmenter is not None, self._check_views
            )
            self._input_errors = InputErrors(self, self.counters)
            self._diagnostics = Diagnostics(
                self,
                self.counters,
                self.describe_network,
                self.describe_problem,
                self.parameters['diagnostics.period'],
            )
        except SgnetError:
            self.destroy_node()
            raise
        for package, choice in ros_api.CHOICES.items():
            self.get_logger().info(f'{package}: {choice}')
        reject_invalid_requests(self)

    def start(self) -> None:
        """Configure and activate, unless `autostart` is false.

        Raises:
            SgnetError: a transition failed.
        """
        if not self.parameters['autostart']:
            return
        self._starting = True
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                if isinstance(self.failure, SgnetError):
                    raise self.failure
                raise SgnetError('the node did not start; its log has the traceback')
        self._starting = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and create the publishers."""
        done = self._attempt('configure', self._configure)
        return TransitionCallbackReturn.SUCCESS if done else TransitionCallbackReturn.FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        super().on_activate(state)
        done = self._attempt('activate', self._activate)
        # ERROR leads through on_error to unconfigured, which allows another attempt.
        return TransitionCallbackReturn.SUCCESS if done else TransitionCallbackReturn.ERROR

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; the network stays loaded."""
        self.stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, so that the node can be configured again."""
        self._release()
        free_memory()
        return TransitionCallbackReturn.SUCCESS

    on_shutdown = on_error = on_cleanup

    def create_subscription(
        self, msg_type: type, topic: str, callback: Callable[[Any], None], *args: Any, **kwargs: Any
    ) -> Subscription:
        """Like rclpy, also for its own /clock, but no message ends the node."""
        callback = tolerant(self, topic, callback)
        return super().create_subscription(msg_type, topic, callback, *args, **kwargs)

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Like rclpy, but a float accepts an integer, and errors name the nearest parameter."""
        unknown = [item.name for item in parameter_list if not self.has_parameter(item.name)]
        try:
            reject_unknown_keys(unknown, KNOWN, 'the parameters')
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        result = super().set_parameters_atomically(converted(parameter_list))
        changed = {item.name for item in parameter_list}
        if result.successful and self.segmenter and changed & {'classes.groups', *CLASS_LISTS}:
            self._use(self._checked or self.segmenter)
        return result

    def destroy_node(self) -> None:
        """Stop, release everything and leave ROS."""
        self._release()
        stop_forwarding(self._log_forwarding)
        self._destroy_rclpy_node()

    def leave_ros(self) -> None:
        """Leave ROS from any thread just before the process ends.

        Otherwise, other nodes would see this node for another 20 s.
        """
        self._destroy_rclpy_node()
        self.context.try_shutdown()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Stop the subscriber and the worker.

        Args:
            timeout_s: longest wait for the current frame; None = no limit. A limit is only safe
                before the process ends, because two threads must not use the network.

        Returns:
            False if the worker or a thread of a service still runs.
        """
        for resource in (self._watchdog, self._subscriber):
            if resource is not None:
                resource.close()
        worker = self._worker
        self._watchdog = self._subscriber = self._worker = None
        ended = worker is None or worker.stop(timeout_s)
        if worker is not None:
            self._diagnostics.publish()  # the final counts
        return ended and not self._service_calls.running_threads

    def _load_network(self, checkpoint: str) -> Segmenter:
        """Load and warm up a network; may run in any thread."""
        p = self.parameters
        size = tuple(p['input_size']) if any(p['input_size']) else None
        segmenter = self._load_segmenter(
            checkpoint or None, p['device'], p['precision'], p['backend'], size
        )
        segmenter.warm_up(p['warmup_iterations'])
        return segmenter

    async def _set_active(self, active: bool) -> str:
        if self.segmenter is None:
            raise SgnetError('no network is loaded; configure the node')
        if active != (self._worker is not None):
            self._require(self.trigger_activate if active else self.trigger_deactivate)
        return 'active' if active else 'inactive'

    async def _reload_model(self) -> str:
        if self.segmenter is None:
            self._require(self.trigger_configure)
            return self.segmenter.description
        present = self._frame_builder
        checkpoint = self.parameters['checkpoint']
        loaded = await self._service_calls.run_in_thread(lambda: self._load_network(checkpoint))
        if self._frame_builder is not present:
            raise SgnetError('the network was released during loading; configure the node')
        self._use(with_groups(loaded, self.parameters))
        self._checkpoint, self._fusion = checkpoint, new_fusion(self.parameters)
        await self._service_calls.run_in_thread(free_memory)
        return loaded.description

    async def _save_snapshot(self) -> str:
        latest = self.latest
        if latest is None:
            problem = self.describe_problem() or 'no output has a subscriber'
            raise SgnetError(f'no frame has been segmented yet: {problem}')
        header = latest.camera_info.header
        stamp = stamp_ns(header)
        folder = snapshot_folder(self.parameters['snapshot.folder'], self.get_name())
        about = {
            'stamp_ns': stamp,
            'frame_id': header.frame_id,
            'node': self.get_fully_qualified_name(),
            'network': self.describe_network(),
            'parameters': {item.name: self.parameters[item.name] for item in NODE_PARAMETERS},
            'statistics': self.counters.counts().to_json(),
        }
        await self._service_calls.run_in_thread(
            lambda: write_snapshot(folder, f'{stamp:019d}', latest.frame, latest.result, about)
        )
        age_s = (self.get_clock().now().nanoseconds - stamp) / 1e9
        return f'{folder}: the frame stamped {stamp / 1e9:.3f}, {age_s:.1f} s ago'

    def _use(self, segmenter: Segmenter) -> None:
        """Segment with this network or these classes from the next pair on."""
        self.segmenter, self._checked = segmenter, None
        self._output_publishers.publish_labels(segmenter.class_names, segmenter.palette)
        self.get_logger().info(segmenter.description)

    def _check_views(self, values: Mapping[str, Any], changed: Collection[str]) -> None:
        """Raise ConfigError if the present network or images do not fit these parameters."""
        self._checked = None
        if self.latest is not None:
            check_stride(values['output.stride'], self.latest.frame.size)
        if self.segmenter is not None and 'classes.groups' in changed:
            self._checked = with_groups(self.segmenter, values)
        elif self.segmenter is not None:
            check_classes(values, self.segmenter.class_names)

    def _require(self, transition: Callable[[], TransitionCallbackReturn]) -> None:
        """Make a transition; raises SgnetError if it fails."""
        self.failure = None
        try:
            done = transition() == TransitionCallbackReturn.SUCCESS
        except RuntimeError as error:  # invalid in this state
            raise SgnetError(f'the transition failed: {first_line(error)}') from error
        if not done:
            raise SgnetError(f'the transition failed: {self.failure}')

    def _destroy_rclpy_node(self) -> None:
        super().destroy_node()
        # The state machine and the node refer to each other.
        self._state_machine = None

    def _attempt(self, name: str, action: Callable[[], None]) -> bool:
        """Run the action of a transition, log its error, and return whether it succeeded."""
        self.failure = None
        try:
            action()
        except Exception as error:
            self.failure = error
            expected = isinstance(error, SgnetError)
            if not (expected and self._starting):  # `start` raises it
                text = error if expected else traceback.format_exc()
                self.get_logger().error(f'cannot {name}: {text}')
            self._release()
            free_memory()
        return self.failure is None

    def _release(self) -> None:
        """Stop, and release the network, TF and the publishers."""
        self.stop()
        for resource in (self._output_publishers, self._frame_builder):
            if resource is not None:
                resource.close()
        self._output_publishers = self._frame_builder = self.segmenter = self.latest = None
        self._fusion = None

    def _configure(self) -> None:
        p = self.parameters
        check_topic_types(self)
        # Before the slow network: TF starts to fill, and invalid parameters fail early.
        self._frame_builder = FrameBuilder(self, p, resolve_device(p['device']))
        self._checkpoint = p['checkpoint']
        self.segmenter = with_groups(self._load_network(self._checkpoint), p)
        self._fusion = new_fusion(p)
        self._output_publishers = Publishers(self, p, self.segmenter.device)
        self.get_logger().info(self.segmenter.description)

    def _activate(self) -> None:
        # The traceback of an error here would keep a network in a local name alive.
        self._output_publishers.publish_labels(self.segmenter.class_names, self.segmenter.palette)
        self._worker = InferenceWorker(
            self._segment,
            self._input_errors.add,
            self._fail,
            self.counters.dropped,
            QUEUE_CAPACITY[self.parameters['queue.policy']],
            lambda: self.parameters['max_rate'],
        )
        self._subscriber = RgbdSubscriber(
            self, self.parameters, self.counters, self._store, self._input_errors.add
        )
        self._watchdog = OutputWatchdog(
            self, self.counters, self._subscriber, self._output_publishers, self._worker
        )

    def _store(self, image: Image, depth: Image, cameras: Cameras) -> None:
        timer = StageTimer(stamp_ns(image.header), self.get_clock().now().nanoseconds)
        pipeline = Pipeline(
            self,
            cameras,
            self._frame_builder,
            self.segmenter,
            self._output_publishers,
            self._fusion,
        )
        self._worker.offer((pipeline, image, depth, timer))

    def _segment(self, item: tuple[Pipeline, Image, Image, StageTimer]) -> None:
        """Process one frame in the thread of the worker."""
        pipeline, image, depth, timer = item
        timer.end(WAIT)
        self.is_segmenting = True
        try:
            with self.parameters.frozen():
                if not pipeline.publishers.subscribed():
                    self.counters.dropped(NO_SUBSCRIBER)
                    return
                self.latest = pipeline.run(image, depth, timer)
            self.counters.segmented(timer.ms)
        finally:
            self.is_segmenting = False

    def _fail(self, error: BaseException) -> None:
        """End the node after an error that does not concern single frames."""
        if not self.context.ok():
            return  # ROS shuts down and accepts no message
        self.failure = error
        self.get_logger().fatal(''.join(traceback.format_exception(error)))
        self.failed.set_result(None)

    def describe_problem(self) -> str:
        """Why there is no output; '' if nothing is wrong."""
        return self._watchdog.problem if self._watchdog else 'not active'

    def describe_network(self) -> dict[str, str]:
        """A readable description of the network; {} = not loaded."""
        if self.segmenter is None:
            return {}
        return {
            'network': self.segmenter.description,
            'device': self.segmenter.device,
            'checkpoint': self._checkpoint or BUNDLED_MODEL,
            'classes': str(len(self.segmenter.class_names)),
            **self._frame_builder.describe(),
        }
