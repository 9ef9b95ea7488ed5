# SPDX-License-Identifier: Apache-2.0
"""A function of tensors, recorded once on a GPU and replayed: no Python, no launches one by one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP_CALLS = 3
"""Kernels are chosen and memory is taken before the recording, where neither is allowed."""


class CudaGraph:
    """Called as the function it records, with inputs of the same shapes from any device."""

    def __init__(self, function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
        """Record `function`, whose work depends on the shapes of `inputs` (on the GPU) alone.

        Raises:
            RuntimeError: it does what cannot be recorded, such as waiting for the GPU.
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
            # Other threads may use the GPU meanwhile.
            with torch.cuda.graph(self._graph, capture_error_mode='thread_local'):
                self._output = function(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """A copy of the output: the next call overwrites the recorded one."""
        for recorded, given in zip(self._inputs, inputs, strict=True):
            recorded.copy_(given)
        self._graph.replay()
        return self._output.clone()
