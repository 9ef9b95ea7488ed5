# SPDX-License-Identifier: Apache-2.0
"""`Segmenter`: the entry to the network for the node, the evaluators and the commands.

It owns device, precision, backend and warm-up. On a GPU all data stay there from the image to the
mask, and the network is one CUDA graph.
"""

from __future__ import annotations

import copy
import logging
from pathlib import Path

import torch
import numpy as np
from torch import Tensor

from sgnet_core.checkpoint.checkpoint import DEFAULT_CHECKPOINT, Checkpoint, load_checkpoint
from sgnet_core.errors import InputError
from sgnet_core.inference.class_mapping import ClassMapping, merged_scores
from sgnet_core.inference.postprocessing import most_probable_at
from sgnet_core.inference.temporal_fusion import Fuse
from sgnet_core.labels import LabelSet
from sgnet_core.model.fusion import fuse
from sgnet_core.model.sgnet import VARIANTS, ResNetVariant, SGNet
from sgnet_core.onnx.session import OnnxRuntimeNetwork
from sgnet_core.preprocessing import InputSpec
from sgnet_core.runtime.cuda_graph import CudaGraph
from sgnet_core.runtime.device import (
    PRECISIONS,
    resolve_device,
    resolve_precision,
    single_precision,
)
from sgnet_core.runtime.malloc_tuning import keep_freed_memory
from sgnet_core.types import UNLABELLED, CameraIntrinsics, RgbdFrame, SegmentationResult
from sgnet_core.visualization.overlay import DeviceResult
from sgnet_core.visualization.sampling_locations import SamplingLocations

BACKENDS = ('auto', 'torch', 'onnxruntime')

logger = logging.getLogger(__name__)


class Segmenter:
    """Runs one network on frames of any size.

    Attributes:
        label_set: the classes.
        network_label_set: the classes of the network; they differ from those of `mapped`.
        input_spec: the preprocessing of frames.
        device, precision: as resolved, for example `cuda:0`, `fp16`.
        checkpoint: path of the file it was loaded from; None if the network was given.
    """

    def __init__(
        self,
        network: SGNet | OnnxRuntimeNetwork,
        input_spec: InputSpec,
        label_set: LabelSet,
        device: str = 'auto',
        precision: str = 'auto',
        fused: bool = True,
    ) -> None:
        """Run a copy of `network`, fused for inference.

        `fused=False` is for comparisons in fp32: equal, but slower. On a CPU this process keeps
        freed memory from now on, see `keep_freed_memory`.

        Raises:
            InputError: the device is missing, or the precision is unknown or not supported.
        """
        self.device = resolve_device(device)
        if not isinstance(network, SGNet):
            precision = single_precision(precision, 'the backend onnxruntime')
        elif not fused:
            precision = single_precision(precision, 'a network that is not fused')
        self.precision = resolve_precision(precision, self.device)
        self.input_spec, self.label_set = input_spec, label_set
        self.network_label_set = label_set
        self._lookup: np.ndarray | None = None
        self.checkpoint: Path | None = None
        self._graph: CudaGraph | None = None
        self._can_record = self.device.startswith('cuda') and isinstance(network, SGNet)
        self._network = network
        self._dtype = torch.float32
        if isinstance(network, SGNet):
            self._dtype = PRECISIONS[self.precision]
            self._network = (fuse(network) if fused else copy.deepcopy(network).eval()).to(
                self.device, self._dtype, memory_format=torch.channels_last
            )
        if self.device == 'cpu':
            keep_freed_memory()

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path | None = None,
        device: str = 'auto',
        precision: str = 'auto',
        backend: str = 'auto',
        input_size: tuple[int, int] | None = None,
    ) -> Segmenter:
        """Load a checkpoint; None or '' is the one that ships with the package.

        Args:
            path: a `.safetensors` checkpoint, or an `.onnx` file written by `export`.
            device: `auto` (a GPU if present), `cpu`, `cuda` or `cuda:N`.
            precision: `auto` (fp16 on a GPU, fp32 on a CPU), `fp32`, `fp16`, `bf16`.
            backend: `auto` (the fastest, see `_network`), `torch`, or `onnxruntime`, which computes
                in fp32 and exports a checkpoint on first use.
            input_size: (height, width) of the network's input, multiples of 32; None = the
                checkpoint's. That of an `.onnx` file is fixed.

        Raises:
            CheckpointError: the file is missing, damaged, or not a checkpoint.
            InputError: the device is missing, an option is unknown, or the backend is not
                installed or does not support the precision.
        """
        if backend not in BACKENDS:
            raise InputError(f'unknown backend {backend!r}; there are {", ".join(BACKENDS)}')
        if backend == 'onnxruntime':
            precision = single_precision(precision, 'the backend onnxruntime')
        device = resolve_device(device)
        if path and Path(path).suffix == '.onnx':
            if backend == 'torch' or input_size:
                raise InputError(
                    f'{path} runs in ONNX Runtime at its own input size; give the checkpoint it '
                    'was made of for the backend torch or another size'
                )
            network, checkpoint = OnnxRuntimeNetwork.from_file(Path(path), device)
        else:
            checkpoint = load_checkpoint(path).at_size(input_size)
            network = _network(checkpoint, device, precision, backend)
        segmenter = cls(network, checkpoint.input_spec, checkpoint.label_set, device, precision)
        segmenter.checkpoint = Path(path or DEFAULT_CHECKPOINT)
        return segmenter

    def __repr__(self) -> str:
        return (
            f'Segmenter(checkpoint={str(self.checkpoint)!r}, '
            f'variant={self._network.config.variant!r}, device={self.device!r}, '
            f'precision={self.precision!r}, backend={self.backend!r}, '
            f'input_size={self.input_spec.size})'
        )

    @property
    def backend(self) -> str:
        """What runs the network: `torch`, or ONNX Runtime with its version."""
        return getattr(self._network, 'engine', 'torch')

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of class id i at index i."""
        return self.label_set.class_names

    @property
    def palette(self) -> np.ndarray:
        """(C, 3) uint8 RGB, the colour of class id i at row i."""
        return self.label_set.palette

    @property
    def description(self) -> str:
        """One line for a log: network, device, precision, backend, input size."""
        config = self._network.config
        upsampling = 'joint bilateral, ' if config.joint_bilateral else ''
        return (
            f'{config.variant} (spatial {config.spatial}, {upsampling}{len(self.class_names)} '
            f'classes) on {self.device}, {self.precision}, {self.backend}, input '
            f'{self.input_spec.width}x{self.input_spec.height}'
        )

    def warm_up(self, iterations: int = 1) -> None:
        """Segment blank frames, so that the first real one is as fast as the next."""
        # Another size than the network's, with missing depth: resizing and filling warm up, too.
        height, width = (2 * side for side in self.input_spec.size)
        depth_m = np.ones((height, width), np.float32)
        depth_m[: height // 4] = np.nan
        frame = RgbdFrame(
            np.zeros((height, width, 3), np.uint8),
            depth_m,
            CameraIntrinsics(width, height, width, width, width / 2, height / 2),
        )
        for _ in range(iterations):
            self.segment(frame)

    def segment(self, frame: RgbdFrame, fuse: Fuse | None = None) -> SegmentationResult:
        """The most probable class of every pixel; reading `confidence` computes its probability.

        `fuse` changes the scores of the network's classes, see `TemporalFusion.fuse`.
        """
        return self.segment_on_device(frame, fuse).to_numpy()

    def mapped(self, mapping: ClassMapping | None) -> Segmenter:
        """This network with new classes, of which it sums the probabilities; None = its own.

        Both share the network. `scores` stay those of the classes of the network.
        """
        other = copy.copy(self)
        network_classes = self.network_label_set
        other.label_set = network_classes if mapping is None else mapping.label_set
        other._lookup = None if mapping is None else mapping.lookup(network_classes.class_names)
        return other

    def segment_on_device(self, frame: RgbdFrame, fuse: Fuse | None = None) -> DeviceResult:
        """As `segment`, but the result stays on the device, possibly unfinished."""
        with torch.inference_mode():
            rgb = torch.from_numpy(frame.rgb).to(self.device)
            scores = self._run(self._inputs(frame, rgb))
            if fuse is not None:
                scores = fuse(scores, frame)
            if self._lookup is not None:
                scores = merged_scores(scores, self._lookup)
            labels, confidence = most_probable_at(scores, frame.size)
            labels = labels[0]
            if self._lookup is not None:
                labels = labels.masked_fill(labels >= len(self.class_names), UNLABELLED)
        return DeviceResult(rgb, labels, lambda: confidence()[0], self.class_names, scores)

    def scores(self, frame: RgbdFrame) -> Tensor:
        """Class scores before softmax at the network's own resolution, (1, C, h, w)."""
        with torch.inference_mode():
            return self._run(self._inputs(frame))

    def sampling(self, frame: RgbdFrame) -> list[SamplingLocations]:
        """Sampling locations of every S-Conv layer for `frame`, in the order of the forward pass.

        Raises:
            InputError: the network has no S-Convs, or another backend than torch runs it.
        """
        if not isinstance(self._network, SGNet):
            raise InputError(
                'only the backend torch can show sampling locations; use it, not onnxruntime'
            )
        if self._network.config.spatial == 'none':
            raise InputError(
                'this network has plain convolutions (spatial none), which sample a fixed grid; '
                'give a checkpoint of spatial depth, xyz or features'
            )
        with torch.inference_mode():
            geometry = self._network.offsets_and_masks(*self._inputs(frame))
        return [
            SamplingLocations(
                name,
                offset[0].float().cpu().numpy(),
                mask[0].float().cpu().numpy(),
                **self._network.get_submodule(name).window,
                network_size=self.input_spec.size,
                frame_size=frame.size,
            )
            for name, (offset, mask) in geometry.items()
        ]

    def _inputs(self, frame: RgbdFrame, rgb: Tensor | None = None) -> list[Tensor]:
        """Image and, if the network takes it, spatial information on the device."""
        image, spatial = self.input_spec.preprocess(frame, self.device, rgb)
        image = image.to(self._dtype, memory_format=torch.channels_last)
        # Spatial information stays float32: the network resizes it first.
        return [image] if spatial is None else [image, spatial]

    def _run(self, inputs: list[Tensor]) -> Tensor:
        """The network; on a GPU a CUDA graph of it, recorded at the first call."""
        if self._can_record and self._graph is None:
            try:
                self._graph = CudaGraph(self._network, tuple(inputs))
            except torch.cuda.OutOfMemoryError:
                raise  # the next frame may find more
            except RuntimeError as error:
                self._can_record = False
                logger.warning('no CUDA graph; every kernel is launched separately: %s', error)
        return (self._graph or self._network)(*inputs)


def _network(
    checkpoint: Checkpoint, device: str, precision: str, backend: str
) -> SGNet | OnnxRuntimeNetwork:
    """The network of a checkpoint. `auto` takes the faster backend, or torch without ONNX Runtime.

    On a CPU, ONNX Runtime takes 20 to 40 % less time for the lite variants with their depthwise
    convolutions (RESULTS.md, Speed of networks), and 16 % less for the vision transformer. ResNets
    take about the same time in both; PyTorch builds no graph first and takes about half the memory.
    """
    resnet = isinstance(VARIANTS[checkpoint.config.variant], ResNetVariant)
    onnx_is_faster = device == 'cpu' and not resnet and precision in ('auto', 'fp32')
    if backend == 'onnxruntime' or (backend == 'auto' and onnx_is_faster):
        try:
            return OnnxRuntimeNetwork.from_checkpoint(checkpoint, device)
        except InputError as error:
            if backend != 'auto':
                raise
            logger.info('torch runs the network; onnxruntime would be faster: %s', error)
    return checkpoint.build()
