# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's DeformConv, the operator alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import onnx
from onnx import TensorProto, helper, numpy_helper

from sgnet_core.onnx_graph import IR_VERSION, OPSET
from sgnet_core.onnx_runtime import import_onnxruntime, make_session

if TYPE_CHECKING:
    from sgnet_core.benchmark.operators import Inputs


def deform_conv_call(inputs: Inputs) -> Callable[[], object]:
    """A call that computes one position; weights are constants, as in an exported network."""
    feeds = {
        'x': inputs.x.contiguous().numpy(),
        'offset': inputs.offset.numpy(),
        'mask': inputs.mask.numpy(),
    }
    weight = inputs.weight.contiguous().numpy()
    window = inputs.window
    node = helper.make_node(
        'DeformConv',
        ['x', 'weight', 'offset', '', 'mask'],
        ['y'],
        kernel_shape=weight.shape[2:],
        strides=[window['stride']] * 2,
        pads=[window['padding']] * 4,
        dilations=[window['dilation']] * 2,
    )
    graph = helper.make_graph(
        [node],
        'deform_conv',
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
            for name, array in feeds.items()
        ],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, (1, None, None, None))],
        [numpy_helper.from_array(weight, 'weight')],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model)
    session = make_session(import_onnxruntime(), model.SerializeToString(), torch.device('cpu'))
    return lambda: session.run(None, feeds)
