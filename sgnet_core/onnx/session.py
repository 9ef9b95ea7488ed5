# SPDX-License-Identifier: Apache-2.0
"""Runs a network in ONNX Runtime instead of PyTorch."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import torch
import numpy as np
from torch import Tensor, nn

from sgnet_core.checkpoint.checkpoint import Checkpoint, parse_header
from sgnet_core.errors import CheckpointError, InputError, first_line
from sgnet_core.model.sgnet import SPATIAL_CHANNELS, SGNetConfig
from sgnet_core.onnx.cache import cached_graph, file_of
from sgnet_core.onnx.digest import check_digest
from sgnet_core.onnx.export import checkpoint_to_onnx

MIN_VERSION = (1, 25)
"""The first ONNX Runtime with DeformConv."""
CUDA_PROVIDER = 'CUDAExecutionProvider'


class GraphError(InputError):
    """ONNX Runtime refuses a graph."""


class OnnxRuntimeNetwork(nn.Module):
    """Called like an `SGNet`; `engine` names the runtime, for logs."""

    def __init__(self, graph: bytes, config: SGNetConfig, device: str = 'cpu') -> None:
        """Load a serialised graph of `checkpoint_to_onnx`; `device` is `cpu`, `cuda` or `cuda:N`.

        Raises:
            GraphError: ONNX Runtime rejects the graph.
            InputError: ONNX Runtime is missing, too old, or has no CUDA for device cuda.
        """
        super().__init__()
        runtime = import_onnxruntime()
        self.config = config
        self.engine = f'onnxruntime {runtime.__version__}'
        self._device = torch.device(device)
        self._session = make_session(runtime, graph, self._device)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, device: str = 'cpu') -> OnnxRuntimeNetwork:
        """The network of a checkpoint at its own input size, batch 1; the graph is cached.

        Raises:
            InputError: see the constructor, or no graph can be made.
        """
        # Report a missing package before the long export.
        import_onnxruntime()
        graph = cached_graph(checkpoint, lambda: checkpoint_to_onnx(checkpoint).SerializeToString())
        try:
            return cls(graph, checkpoint.config, device)
        except GraphError as error:
            if (path := file_of(checkpoint)) is None:
                raise
            raise GraphError(f'{error}; or delete {path} to export it again') from error

    @classmethod
    def from_file(cls, path: Path, device: str = 'cpu') -> tuple[OnnxRuntimeNetwork, Checkpoint]:
        """A graph that `export` wrote, and its checkpoint without the weights.

        Raises:
            CheckpointError: the file is missing, or `export` did not write it.
            InputError: see the constructor.
        """
        if not path.is_file():
            raise CheckpointError(f'no exported network at {path}; make one with `export`')
        graph = path.read_bytes()
        check_digest(path, graph)
        try:
            session = make_session(import_onnxruntime(), graph, torch.device('cpu'))
            metadata = session.get_modelmeta().custom_metadata_map
        except (GraphError, UnicodeDecodeError) as error:
            raise CheckpointError(f'{path}: {first_line(error)}; or export it again') from error
        checkpoint = parse_header(path, metadata, {})
        _check_interface(path, session, checkpoint)
        return cls(graph, checkpoint.config, device), checkpoint

    def forward(self, image: Tensor, spatial: Tensor | None = None) -> Tensor:
        """Class scores before softmax, float32, on the device of the inputs.

        Args:
            image: (N, 3, H, W) float32 of the graph's size.
            spatial: (N, c', H, W) float32; None where the network takes none.

        Raises:
            ValueError: a shape is not the graph's.
            GraphError: ONNX Runtime cannot run the graph.
        """
        inputs = {'image': image, 'spatial': spatial}
        binding = self._session.io_binding()
        kept = []
        for wanted in self._session.get_inputs():
            tensor = inputs[wanted.name]
            _check_shape(wanted, tensor)
            kept.append(tensor.to(self._device, torch.float32).contiguous())
            self._bind(binding.bind_input, wanted.name, kept[-1])
        (output,) = self._session.get_outputs()
        shape = len(image), *output.shape[1:]
        scores = torch.empty(shape, dtype=torch.float32, device=self._device)
        self._bind(binding.bind_output, output.name, scores)
        if self._device.type == 'cuda':
            # ONNX Runtime computes on a stream of its own.
            torch.cuda.current_stream(self._device).synchronize()
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # its errors have no common base
            raise GraphError(
                f'{self.engine} cannot run the graph ({first_line(error)}): export it again, or '
                'use the backend torch'
            ) from error
        return scores

    def _bind(self, bind: Any, name: str, tensor: Tensor) -> None:
        place = self._device.type, self._device.index or 0
        bind(name, *place, np.float32, tuple(tensor.shape), tensor.data_ptr())


def import_onnxruntime() -> Any:
    """The package `onnxruntime`.

    Raises:
        InputError: it is missing or too old.
    """
    remedy = (
        f"pip install 'onnxruntime>={MIN_VERSION[0]}.{MIN_VERSION[1]}' (there is none for Python "
        '3.10), or use the backend torch'
    )
    # The wheels send telemetry unless this is set before the import.
    os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f'ONNX Runtime cannot be loaded ({error}): {remedy}') from error
    version = tuple(int(part) for part in re.findall(r'\d+', onnxruntime.__version__)[:2])
    if version < MIN_VERSION:
        raise InputError(
            f'ONNX Runtime {onnxruntime.__version__} has no DeformConv, the operator under S-Conv: '
            f'{remedy}'
        )
    return onnxruntime


def make_session(runtime: Any, graph: bytes, device: torch.device) -> Any:
    """An `InferenceSession` of `runtime`, with as many threads as torch has.

    Raises:
        GraphError: it refuses the graph.
        InputError: the device is not used.
    """
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Waiting threads must not spin on the cores of other processes.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    providers = ['CPUExecutionProvider']
    if device.type != 'cpu':
        if CUDA_PROVIDER not in runtime.get_available_providers():
            raise InputError(
                f'this ONNX Runtime ({runtime.__version__}) cannot use {device}: install '
                'onnxruntime-gpu in its place, or use device cpu or the backend torch'
            )
        providers.insert(0, (CUDA_PROVIDER, {'device_id': device.index or 0}))
    try:
        # Without its fallback, which prints and tries the same again.
        session = runtime.InferenceSession(graph, options, providers, enable_fallback=0)
    except Exception as error:  # its errors have no common base
        raise GraphError(
            f'ONNX Runtime {runtime.__version__} refuses the graph ({first_line(error)}): use the '
            'backend torch'
        ) from error
    if device.type == 'cuda' and session.get_providers()[:1] != [CUDA_PROVIDER]:
        # Without the libraries of CUDA it only prints a message and uses the CPU.
        raise InputError(
            f'ONNX Runtime {runtime.__version__} does not use {device} but '
            f'{", ".join(session.get_providers())}: install the CUDA and cuDNN it was built for, '
            'or use device cpu or the backend torch'
        )
    return session


def _check_interface(path: Path, session: Any, checkpoint: Checkpoint) -> None:
    """Raise CheckpointError unless inputs and output of a graph are those of its header."""
    channels = {'image': 3, 'spatial': SPATIAL_CHANNELS[checkpoint.config.spatial]}
    size, classes = checkpoint.input_spec.size, checkpoint.config.num_classes
    wanted = [(name, 'tensor(float)', n, *size) for name, n in channels.items() if n]
    wanted.append(('scores', 'tensor(float)', classes))
    *inputs, scores = (
        (value.name, value.type, *value.shape[1:])
        for value in (*session.get_inputs(), *session.get_outputs())
    )
    rows = scores[3:]
    fits = [*sorted(inputs), scores[:3]] == wanted and len(rows) == 2
    if not fits or not all(isinstance(n, int) and n > 0 for n in rows):
        raise CheckpointError(
            f'{path}: its graph has {[*inputs, scores]}, its header {wanted}; export it again'
        )


def _check_shape(wanted: Any, tensor: Tensor | None) -> None:
    shape = () if tensor is None else tuple(tensor.shape)
    fits = len(shape) == len(wanted.shape) and all(
        isinstance(n, str) or n == got for n, got in zip(wanted.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(f'{wanted.name} must be {tuple(wanted.shape)}, got {shape or None}')
