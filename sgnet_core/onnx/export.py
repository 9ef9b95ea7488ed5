# SPDX-License-Identifier: Apache-2.0
"""A network as an ONNX graph, opset 19: the S-Conv operator becomes ONNX `DeformConv`.

The inputs are `image` (N, 3, H, W) and, if the network takes it, `spatial` (N, c', H, W), both
float32 and prepared by the checkpoint's `InputSpec`; the output is `scores` (N, classes, H/s, W/s).
Offsets, masks, kernel order and zero border are those of DeformConv: nothing is rearranged.
"""

from __future__ import annotations

import inspect
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import numpy as np
from torch import nn

from sgnet_core.checkpoint.checkpoint import HEADER_KEY, Checkpoint
from sgnet_core.errors import InputError, first_line
from sgnet_core.model.fusion import fuse
from sgnet_core.model.sgnet import SPATIAL_CHANNELS

if TYPE_CHECKING:
    import onnx

OPSET = 19
"""The first opset with DeformConv."""

IR_VERSION = 9
"""The file format of this opset; runtimes do not read the newest one."""

USAGE = """\
image: (N, 3, H, W) float32, (grey level 0..255 - mean) / std, channels in channel_order.
spatial: (N, c, H, W) float32 metres; depth or x, y, z. Or hha: disparity, height, angle of \
sgnet_core.geometry.hha / 255. Where nothing is measured: if depth_fill is smooth, of depth \
filled in by sgnet_core.geometry.hole_filling; else depth_fill_m, in hha 0.
scores: before softmax. Resize them to the image (bilinear, corners aligned); the largest is the \
class.
The metadata entry 'sgnet' is JSON: input (size, channel_order, mean, std, spatial, depth_fill, \
depth_fill_m), class_names, palette (RGB), config, provenance.
"""

logger = logging.getLogger(__name__)


def checkpoint_to_onnx(checkpoint: Checkpoint, dynamic_batch: bool = False) -> onnx.ModelProto:
    """The network of a checkpoint, fused, as a graph that carries the checkpoint's header.

    Args:
        checkpoint: its input size is that of the graph.
        dynamic_batch: any N; else N = 1.

    Raises:
        InputError: onnx or onnxscript is not installed, or they or PyTorch cannot make the graph.
    """
    spec = checkpoint.input_spec
    logger.info(
        'exporting %s at %dx%d to ONNX: this takes about ten seconds',
        checkpoint.config.variant, spec.width, spec.height,
    )  # fmt: skip
    model = network_to_onnx(fuse(checkpoint.build()), spec.size, dynamic_batch)
    model.doc_string = USAGE
    model.metadata_props.add(key=HEADER_KEY, value=json.dumps(checkpoint.header()))
    return model


def network_to_onnx(
    network: nn.Module, size: tuple[int, int], dynamic_batch: bool = False
) -> onnx.ModelProto:
    """As `checkpoint_to_onnx`, for an SGNet or a fused one at one input size, without a header.

    Args:
        network: in evaluation mode, float32; called as `(image, spatial) -> scores`.
        size: (height, width) of both inputs.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f'cannot export to ONNX ({error}): pip install onnx onnxscript') from error
    if 'custom_translation_table' not in inspect.signature(torch.onnx.export).parameters:
        raise InputError(
            f'PyTorch {torch.__version__} cannot export operators other than its own: update it '
            '(2.13 is tested)'
        )
    try:
        model = _export(network, size, dynamic_batch)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # of three packages, with no base in common
        raise InputError(
            f'cannot export to ONNX with PyTorch {torch.__version__}, onnx '
            f'{onnx.__version__} and the onnxscript here ({first_line(error)}): update them, or '
            'use the backend torch'
        ) from error
    return model


def _export(network: nn.Module, size: tuple[int, int], dynamic_batch: bool) -> onnx.ModelProto:
    # The exporter takes a batch of one for a constant.
    examples = 2 if dynamic_batch else 1
    device = next(iter(network.parameters())).device
    channels = {'image': 3, 'spatial': SPATIAL_CHANNELS[network.config.spatial]}
    inputs = {
        name: torch.rand(examples, count, *size, device=device)
        for name, count in channels.items()
        if count
    }
    batch = {0: torch.export.Dim('batch')} if dynamic_batch else None
    translations = {torch.ops.sgnet.modulated_deform_conv2d.default: _deform_conv}
    with _quiet_export(), torch.no_grad():
        program = torch.onnx.export(
            network,
            kwargs=inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=['scores'],
            dynamic_shapes=dict.fromkeys(inputs, batch) if dynamic_batch else None,
            custom_translation_table=translations,
            verbose=False,
        )
    model = program.model_proto
    model.ir_version = IR_VERSION
    model.producer_name = 'sgnet_core'
    # Stack traces hold paths of this machine.
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.ClearField('doc_string')
        part.ClearField('metadata_props')
    for tensor in graph.initializer:
        tensor.ClearField('metadata_props')
    return model


def _deform_conv(x, offset, mask, weight, bias, stride, padding, dilation) -> Any:
    """`sgnet::modulated_deform_conv2d` in ONNX."""
    from onnxscript import ir
    from onnxscript import opset19 as op

    if bias is None:
        # Optional in ONNX, but the parser of TensorRT needs it if there is a fifth input.
        bias = op.Constant(value=ir.tensor(np.zeros(weight.shape[0], np.float32)))
    return op.DeformConv(
        x,
        weight,
        offset,
        bias,
        mask,
        kernel_shape=[int(n) for n in weight.shape[2:]],
        strides=list(stride),
        pads=[*padding, *padding],
        dilations=list(dilation),
    )


@contextmanager
def _quiet_export() -> Iterator[None]:
    """Suppress messages of the exporters and deprecation warnings of PyTorch."""
    exporters = [logging.getLogger(name) for name in ('torch.onnx', 'onnxscript', 'onnx_ir')]
    levels = [exporter.level for exporter in exporters]
    for exporter in exporters:
        exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for exporter, level in zip(exporters, levels, strict=True):
            exporter.setLevel(level)
