# SPDX-License-Identifier: Apache-2.0
"""A CUDA graph of a function: recorded once, replayed without Python and single launches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP_CALLS = 3
"""Calls before the recording, which must neither choose kernels nor allocate memory."""


class CudaGraph:
    """A recorded function; inputs need the recorded shapes and can be on any device."""

    def __init__(self, function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
        """Record `function`; its operations must depend on the shapes of the GPU `inputs` only.

        Raises:
            RuntimeError: an operation cannot be recorded, for example waiting for the GPU.
        """
        self._inputs = [tensor.clone() for tensor in inputs]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(inputs[0].device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_CALLS):
                    function(*self._inputs)
            torch.cuda.current_stream().wait_stream(stream)
            # Other threads may use the GPU during the recording.
            with torch.cuda.graph(self._graph, capture_error_mode='thread_local'):
                self._output = function(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Replay; returns a copy, because the next call overwrites the output."""
        for recorded, given in zip(self._inputs, inputs, strict=True):
            recorded.copy_(given)
        self._graph.replay()
        return self._output.clone()
