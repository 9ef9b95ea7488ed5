# SPDX-License-Identifier: Apache-2.0
"""The operator on a CUDA device: at the sizes of the networks, compiled, in graphs, beside others'.

`test_deform_conv_triton.py` has the comparisons at awkward sizes, which need no GPU.
"""

import torch
import pytest
from deform_conv_cases import Case, assert_close, call_reference, call_triton

from sgnet_core.model import modulated_deform_conv2d

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no CUDA device')

POSITIONS = {
    'layer1': Case(64, 64, (120, 160), (3, 3), padding=(1, 1)),
    'layer2, stride 2': Case(128, 128, (120, 160), (3, 3), (2, 2), (1, 1)),
    'layer2': Case(128, 128, (60, 80), (3, 3), padding=(1, 1)),
    'layer3, stride 2': Case(256, 256, (60, 80), (3, 3), (2, 2), (1, 1)),
    'layer3': Case(256, 256, (30, 40), (3, 3), padding=(1, 1)),
    'layer4': Case(512, 512, (30, 40), (3, 3), padding=(1, 1)),
    'weight generator': Case(64, 9, (60, 80), (3, 3), padding=(1, 1)),
}
"""Of SGNet on ResNets at 480x640."""


def on_cuda(case: Case, dtype: torch.dtype, **options) -> list[torch.Tensor]:
    """x, offset, mask, weight, bias on the GPU, as a network in channels-last has them."""
    x, offset, mask, weight, bias = (t.cuda() for t in case.inputs(dtype, **options))
    x, weight = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight))
    return [x, offset, mask, weight, bias]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('case', POSITIONS.values(), ids=POSITIONS)
def test_kernels_equal_the_reference_at_network_sizes(case, dtype):
    inputs = case.inputs(dtype, batch=1)
    y = call_triton('forward', case, inputs, 'channels_last', 'cuda')
    assert_close(y, call_reference('forward', case, inputs), dtype)
    inputs = [case.grad(dtype, batch=1), *inputs[:4]]
    gradients = call_triton('backward', case, inputs, 'channels_last', 'cuda')
    assert_close(gradients, call_reference('backward', case, inputs), dtype)


def test_only_the_gradient_of_x_is_nondeterministic():
    case = POSITIONS['layer4']
    inputs = case.inputs(torch.float16)
    first, second = (call_triton('forward', case, inputs, 'contiguous', 'cuda') for _ in range(2))
    assert torch.equal(first[0], second[0])
    inputs = [case.grad(torch.float16), *inputs[:4]]
    first, second = (call_triton('backward', case, inputs, 'contiguous', 'cuda') for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first[1:], second[1:], strict=True))


def test_torch_compile_finds_one_graph():
    case = POSITIONS['layer2']
    inputs = [tensor.requires_grad_() for tensor in on_cuda(case, torch.float16, batch=2)]

    def convolve(*inputs):
        return modulated_deform_conv2d(*inputs, *case.window).relu()

    results = []
    for function in (convolve, torch.compile(convolve, fullgraph=True)):
        y = function(*inputs)
        y.sum().backward()
        results.append([y.detach().cpu(), *(tensor.grad.cpu() for tensor in inputs)])
        for tensor in inputs:
            tensor.grad = None
    eager = [tensor.double() for tensor in results[0]]
    assert_close(results[1], eager, torch.float16)


@pytest.mark.parametrize('name', ['layer1', 'layer4'])
def test_replayed_graph_equals_eager(name):
    case = POSITIONS[name]
    static = on_cuda(case, torch.float16, batch=1)
    fresh = [tensor.flip(0) * 1.5 for tensor in static[:3]]
    with torch.no_grad():
        # The call before the capture tunes.
        expected = modulated_deform_conv2d(*fresh, *static[3:], *case.window)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = modulated_deform_conv2d(*static, *case.window)
        for tensor, value in zip(static, fresh, strict=False):
            tensor.copy_(value)
        graph.replay()
        torch.cuda.synchronize()
    assert torch.equal(y, expected)


def test_autotuning_in_a_capture_raises():
    case = Case(48, 80, (11, 13), (3, 3))
    inputs = on_cuda(case, torch.float16)
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match='before the capture'), torch.cuda.graph(graph):
        modulated_deform_conv2d(*inputs, *case.window)


def test_image_may_exceed_32_bit_indices():
    """4.5 GB of features: the last rows must not be read at the addresses of the first."""
    if torch.cuda.mem_get_info()[0] < 16 * 2**30:
        pytest.skip('there are no 16 GB free on the CUDA device')
    strip = on_cuda(Case(512, 16, (3, 2100), (1, 1)), torch.float16, batch=1)
    # Downwards only: above its rows the strip has nothing, and the image has something.
    strip[1][:, 0].clamp_(min=0.0)
    image = []
    for tensor in strip[:3]:
        shape = (*tensor.shape[:2], 2100, 2100)
        larger = tensor.new_empty(shape).zero_().contiguous(memory_format=torch.channels_last)
        larger[:, :, -3:] = tensor
        image.append(larger)
    y = modulated_deform_conv2d(*image, *strip[3:])
    assert image[0].numel() > 2**31
    torch.testing.assert_close(y[:, :, -3:], modulated_deform_conv2d(*strip))
