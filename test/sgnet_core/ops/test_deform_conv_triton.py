# SPDX-License-Identifier: Apache-2.0
"""The Triton kernels against the reference, interpreted and, if possible, on a GPU.

Triton decides at its import whether it interprets kernels, so that happens in a process of its own.
"""

import importlib
import math
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import torch
import pytest
from deform_conv_cases import CASES, LAYOUTS, Case, assert_close, call_reference, call_triton

from sgnet_core import ops

triton = pytest.importorskip('triton', reason='Triton exists for Linux only')


@pytest.fixture(scope='module')
def interpreter():
    """A process in which Triton interprets."""
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv('TRITON_INTERPRET', '1')
            environment.setenv('OMP_NUM_THREADS', '1')
            # The process starts with the first task, and keeps this environment.
            assert pool.submit(os.getenv, 'TRITON_INTERPRET').result(100) == '1'
        yield pool


@pytest.fixture(params=['interpreted', 'cuda'])
def call(request):
    """(name of a function, case, inputs[, layout]) -> what the kernels give."""
    if request.param == 'interpreted':
        pool = request.getfixturevalue('interpreter')

        def on_device(*task):
            return pool.submit(call_triton, *task, 'cpu').result(200)
    else:
        if not torch.cuda.is_available():
            pytest.skip('there is no CUDA device')

        def on_device(*task):
            return call_triton(*task, 'cuda')

    return lambda name, case, inputs, layout='contiguous': on_device(name, case, inputs, layout)


@pytest.mark.parametrize(
    ('name', 'dtype'),
    [
        ('few channels', torch.float16),
        ('strided and dilated', torch.float32),
        ('strided and dilated', torch.bfloat16),
        ('channels in two parts', torch.float32),
        ('channels in two parts', torch.float16),
    ],
)
def test_kernels_equal_the_reference(call, name, dtype):
    case = CASES[name]
    for bias in (case.inputs(dtype)[4], None):
        inputs = [*case.inputs(dtype)[:4], bias]
        (y,) = call('forward', case, inputs)
        assert y.dtype == dtype
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert_close([y], call_reference('forward', case, inputs), dtype)
    inputs = [case.grad(dtype), *inputs[:4]]
    gradients = call('backward', case, inputs)
    assert [g.dtype for g in gradients] == [dtype, torch.float32, torch.float32, dtype]
    assert_close(gradients, call_reference('backward', case, inputs), dtype)


@pytest.mark.parametrize(
    ('name', 'layout'),
    [
        *(('small', layout) for layout in LAYOUTS),
        *(('one column', layout) for layout in ('channels_last', 'columns_before_rows')),
        *(('one row', layout) for layout in ('channels_last', 'columns_before_rows')),
    ],
)
def test_kernels_accept_any_layout(call, name, layout):
    """In all but the first, NaN or other channels lie next to what the kernels may read.

    A single column once was read with the stride of its one-pixel axis as the step between pixels.
    """
    case = CASES[name]
    # Some samples far beyond each border.
    *inputs, bias = case.inputs(torch.float32, spread=5.0)
    (y,) = call('forward', case, [*inputs, bias], layout)
    assert_close([y], call_reference('forward', case, [*inputs, bias]), torch.float32)
    inputs = [case.grad(torch.float32), *inputs]
    gradients = call('backward', case, inputs, layout)
    assert_close(gradients, call_reference('backward', case, inputs), torch.float32)


def test_kernels_accept_low_precision_offsets(call):
    case = CASES['small']
    x, offset, mask, weight, bias = case.inputs(torch.float16)
    inputs = [x, offset.bfloat16(), mask.half(), weight, bias]
    expected = call_reference('forward', case, inputs)
    assert_close(call('forward', case, inputs), expected, torch.float16)
    gradients = call('backward', case, [case.grad(torch.float16), *inputs[:4]])
    assert [g.dtype for g in gradients[1:3]] == [torch.bfloat16, torch.float16]


@pytest.mark.parametrize('along', [0, 1], ids=['dy', 'dx'])
def test_huge_offsets_sample_zero_and_read_nothing(call, along):
    """No integer holds them: the conversion of 1e30 to one is undefined."""
    case = CASES['small']
    x, offset, mask, weight, bias = case.inputs(torch.float32)
    extremes = torch.tensor(
        [math.nan, math.inf, -math.inf, 1e30, -1e30, 2.0**31, -(2.0**31), 2.0**32, 1e9, -1e9]
    )
    wild = offset[:, along::2]
    wild.copy_(extremes.repeat(wild.numel() // len(extremes) + 1)[: wild.numel()].view_as(wild))
    (y,) = call('forward', case, [x, offset, mask, weight, bias], 'images_of_a_larger_batch')
    assert torch.equal(y, bias.view(1, -1, 1, 1).expand_as(y))
    gradients = call('backward', case, [case.grad(torch.float32), x, offset, mask, weight])
    assert not any(gradient.any() for gradient in gradients)


def test_half_precision_features_keep_float32_coordinates(call):
    """In bfloat16 itself, coordinates above 128 could not tell one pixel from the next."""
    case = Case(3, 4, (1, 150), (1, 1))
    inputs = case.inputs(torch.bfloat16, batch=1)
    expected = call_reference('forward', case, inputs)
    assert_close(call('forward', case, inputs), expected, torch.bfloat16)


def test_empty_batch_gives_zero_gradients(call):
    case = CASES['small']
    inputs = case.inputs(torch.float16, batch=0)
    (y,) = call('forward', case, inputs)
    assert y.shape == (0, 5, *case.out_size)
    gradients = call('backward', case, [y, *inputs[:4]])
    assert [g.shape for g in gradients] == [tensor.shape for tensor in inputs[:4]]
    assert not gradients[3].any()


@pytest.fixture
def import_again(monkeypatch):
    """Imports a module of the operator as if for the first time; the former one comes back."""

    def import_(name):
        former = importlib.import_module(name)
        # A successful import sets the attribute of the package.
        monkeypatch.setattr(ops, name.rpartition('.')[2], former)
        monkeypatch.delitem(sys.modules, name)
        return importlib.import_module(name)

    return import_


def test_old_triton_is_named(import_again, monkeypatch):
    """Once it was "cannot import name 'knobs'"."""
    monkeypatch.setattr(triton, '__version__', '3.3.1')
    monkeypatch.delattr(triton, 'knobs')
    monkeypatch.setitem(sys.modules, 'triton.knobs', None)
    with pytest.raises(ImportError, match=r'Triton 3\.3\.1 is too old.* 3\.4'):
        import_again('sgnet_core.ops.deform_conv_triton_kernels')


class NoCompiler:
    """Of Triton's driver: what a GPU without a C compiler beside it does at the first use."""

    def get_current_target(self):
        raise RuntimeError('Failed to find C compiler')


def test_missing_compiler_is_found_on_import(import_again, monkeypatch):
    """Once it was at the first launch, when nothing could fall back any more."""
    monkeypatch.setattr(triton.runtime.driver, '_active', NoCompiler())
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    with pytest.raises(ImportError, match='Failed to find C compiler.*: install gcc .* CC'):
        import_again('sgnet_core.ops.deform_conv_triton')


@pytest.mark.parametrize('spared', ['no CUDA device', 'interpreter'])
def test_cpu_and_interpreter_need_no_compiler(import_again, monkeypatch, spared):
    monkeypatch.setattr(triton.runtime.driver, '_active', NoCompiler())
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: spared == 'interpreter')
    monkeypatch.setenv('TRITON_INTERPRET', str(int(spared == 'interpreter')))
    assert import_again('sgnet_core.ops.deform_conv_triton').DTYPES


class NoHopper:
    """What Triton asks of a GPU in order to compile for one, and no GPU."""

    trials = 0

    def get_current_target(self):
        return triton.backends.compiler.GPUTarget('cuda', 90, 32)

    def get_current_device(self):
        # Of no real GPU, for which Triton could take what is compiled here.
        return 99

    def get_current_stream(self, device):
        return 0

    def get_benchmarker(self):
        return self.time

    def time(self, call, quantiles):
        """The later the faster: the last tile is compiled, and it is one with a pipeline."""
        self.trials += 1
        return [-self.trials] * len(quantiles)


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """Name of each kernel that is launched -> PTX of what would have run on a Hopper."""
    from sgnet_core.ops import deform_conv_triton_autotune as tuning

    found = {}
    run = triton.runtime.jit.JITFunction.run

    def compile_only(self, *args, grid, warmup, **options):
        kernel = run(self, *args, grid=grid, warmup=True, **options)
        found[self.__name__] = kernel.asm['ptx']

    monkeypatch.setattr(triton.runtime.jit.JITFunction, 'run', compile_only)
    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))
    monkeypatch.setattr(triton.runtime.driver, '_active', NoHopper())
    yield found
    for tuned in (tuning.tuned_forward, tuning.tuned_input_gradients, tuning.tuned_weight_gradient):
        # It remembers what it measures with.
        tuned.__dict__.pop('do_bench')


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float32])
def test_kernels_compile_for_hopper(compiled, dtype):
    """The interpreter takes much that the compiler does not."""
    case = Case(128, 200, (5, 7), (3, 3), padding=(1, 1))
    call_triton('forward', case, case.inputs(dtype), 'contiguous', 'cpu')
    inputs = [case.grad(dtype), *case.inputs(dtype)[:4]]
    call_triton('backward', case, inputs, 'contiguous', 'cpu')
    products = ['forward_kernel', 'input_gradients_kernel', 'weight_gradient_kernel']
    assert sorted(compiled) == sorted([*products, 'sum_parts_kernel'])
    for name in products:
        # The gather runs ahead of the products, and those are left to the tensor cores.
        assert 'cp.async' in compiled[name], name
        assert ('wgmma' in compiled[name]) == (dtype == torch.bfloat16), name
