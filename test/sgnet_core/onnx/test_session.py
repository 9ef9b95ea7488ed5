# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime in the place of PyTorch: same results, and what fails in it is named."""

import inspect
import os
import re
import sys
from dataclasses import replace

import torch
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import guided_graph, untrained, with_offsets

from sgnet_core.checkpoint.checkpoint import load_checkpoint, save_checkpoint
from sgnet_core.errors import CheckpointError, InputError
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.model import SGNet, SGNetConfig
from sgnet_core.onnx.cache import cached_graph
from sgnet_core.onnx.digest import with_digest
from sgnet_core.onnx.session import OnnxRuntimeNetwork, import_onnxruntime


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'sgnet_ros'


@pytest.fixture(scope='module')
def runtime():
    pytest.importorskip('onnxscript')
    return pytest.importorskip('onnxruntime', minversion='1.25')


# --- the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize('spatial', ['depth', 'features'])
def test_scores_are_those_of_pytorch(runtime, spatial):
    checkpoint = with_offsets(untrained(spatial=spatial))
    network = OnnxRuntimeNetwork(guided_graph(spatial), checkpoint.config)
    torch.manual_seed(1)
    image = torch.randn(1, 3, 64, 96)
    depth = torch.rand(1, 1, 64, 96) * 5 if spatial == 'depth' else None
    with torch.inference_mode():
        expected = checkpoint.build()(image, depth)
        # The scores are float32 with any default of torch.
        torch.set_default_dtype(torch.float64)
        try:
            # The segmenter hands over images that are channels last.
            got = network(image.contiguous(memory_format=torch.channels_last), depth)
        finally:
            torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(got, expected, atol=1e-4 * float(expected.std()), rtol=1e-4)


@pytest.mark.parametrize(
    ('image', 'spatial', 'message'),
    [
        ((1, 3, 96, 64), (1, 1, 64, 96), r'image must be \(1, 3, 64, 96\), got \(1, 3, 96, 64\)'),
        ((1, 3, 64, 96), (1, 3, 64, 96), r'spatial must be \(1, 1, 64, 96\), got \(1, 3, 64, 96\)'),
        ((1, 3, 64, 96), None, r'spatial must be \(1, 1, 64, 96\), got None'),
        ((2, 3, 64, 96), (2, 1, 64, 96), r'image must be \(1, 3, 64, 96\)'),
    ],
)
def test_shapes_that_are_not_the_graphs_are_named(runtime, image, spatial, message):
    network = OnnxRuntimeNetwork(guided_graph(), untrained().config)
    with pytest.raises(ValueError, match=message):
        network(torch.zeros(image), None if spatial is None else torch.zeros(spatial))


def test_the_segmenter_gives_the_same_masks(runtime, cache, tmp_path, tiny_samples, monkeypatch):
    checkpoint = with_offsets(untrained())
    path = tmp_path / 'a.safetensors'
    save_checkpoint(path, checkpoint)
    cached_graph(checkpoint, guided_graph)
    reference = Segmenter.from_checkpoint(path, device='cpu', backend='torch')
    # A cached graph is run where no graph can be made.
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    segmenter = Segmenter.from_checkpoint(path, device='cpu', backend='onnxruntime')
    assert f'onnxruntime {runtime.__version__}' in segmenter.description
    assert 'torch' in reference.description
    assert repr(reference) == (
        f'Segmenter(checkpoint={str(path)!r}, variant={checkpoint.config.variant!r}, '
        f"device='cpu', precision='fp32', backend='torch', input_size={checkpoint.input_spec.size})"
    )
    segmenter.warm_up()
    (tmp_path / 'a.onnx').write_bytes(guided_graph())
    exported = Segmenter.from_checkpoint(tmp_path / 'a.onnx', device='cpu')
    for sample in tiny_samples:
        got, expected = segmenter.segment(sample.frame), reference.segment(sample.frame)
        assert (got.labels == expected.labels).mean() > 0.99
        np.testing.assert_allclose(got.confidence, expected.confidence, atol=1e-4)
        np.testing.assert_array_equal(exported.segment(sample.frame).labels, got.labels)


@pytest.mark.parametrize(
    ('variant', 'precision', 'engine'),
    [
        ('sgnet_lite0', 'auto', 'onnxruntime'),
        ('sgnet_lite0', 'bf16', 'torch'),
        ('sgnet_r18', 'auto', 'torch'),
    ],
)
def test_auto_is_the_faster_backend(runtime, cache, tmp_path, variant, precision, engine):
    checkpoint = untrained()
    config = SGNetConfig(variant, len(checkpoint.label_set))
    checkpoint = replace(checkpoint, config=config, weights=SGNet(config).state_dict())
    path = tmp_path / 'a.safetensors'
    save_checkpoint(path, checkpoint)
    if engine == 'onnxruntime':
        cached_graph(checkpoint, guided_graph)
    assert engine in Segmenter.from_checkpoint(path, 'cpu', precision).description


@pytest.mark.parametrize(
    ('precision', 'backend', 'message'),
    [
        ('fp16', 'onnxruntime', "computes in fp32, not in 'fp16'"),
        ('auto', 'tensorrt', "'tensorrt'; there are auto, torch, onnxruntime"),
    ],
)
def test_unsupported_options_are_errors(precision, backend, message):
    with pytest.raises(InputError, match=message):
        Segmenter.from_checkpoint(precision=precision, backend=backend)


def test_missing_onnxruntime_is_an_error_and_auto_falls_back(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(InputError, match=r"pip install 'onnxruntime>=1.25'.*backend torch"):
        Segmenter.from_checkpoint(device='cpu', backend='onnxruntime')
    with caplog.at_level('INFO'):
        assert ', torch,' in Segmenter.from_checkpoint(device='cpu').description
    assert 'pip install' in caplog.text


def test_old_onnxruntime_is_an_error(runtime, monkeypatch):
    monkeypatch.setattr(runtime, '__version__', '1.9.1')
    with pytest.raises(InputError, match=r'1\.9\.1 has no DeformConv'):
        import_onnxruntime()


def test_missing_cuda_provider_is_an_error(runtime, monkeypatch):
    monkeypatch.setattr(runtime, 'get_available_providers', lambda: ['CPUExecutionProvider'])
    with pytest.raises(InputError, match=r'cannot use cuda:0: install onnxruntime-gpu'):
        OnnxRuntimeNetwork(guided_graph(), untrained().config, 'cuda:0')


def test_telemetry_is_disabled(runtime, monkeypatch):
    monkeypatch.delenv('ORT_DISABLE_TELEMETRY')
    import_onnxruntime()
    assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'
    monkeypatch.setenv('ORT_DISABLE_TELEMETRY', '0')
    import_onnxruntime()
    assert os.environ['ORT_DISABLE_TELEMETRY'] == '0', 'the user wants it'


# --- damaged files -------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def changed_file(tmp_path_factory):
    """A function that writes `guided_graph` with its digest, changed at a place from 0 to 1."""
    path, graph = tmp_path_factory.mktemp('onnx') / 'a.onnx', with_digest(guided_graph())

    def change(place, piece, cut):
        content = bytearray(graph)
        start = int(place * len(content))
        content[start : start + len(piece)] = piece
        path.write_bytes(content[:start] if cut else content)
        return path, content == graph

    return change


@given(place=st.floats(0, 0.999), piece=st.binary(min_size=1, max_size=9), cut=st.booleans())
def test_a_changed_graph_is_an_error(runtime, changed_file, place, piece, cut):
    path, same = changed_file(place, piece, cut)
    if not same:
        with pytest.raises(InputError, match=re.escape(str(path))) as caught:
            OnnxRuntimeNetwork.from_file(path)
        assert '\n' not in str(caught.value)


def test_digest_is_an_entry_of_the_graph(runtime, tmp_path):
    onnx = pytest.importorskip('onnx')
    model = onnx.load_model_from_string(with_digest(guided_graph()))
    assert [entry.key for entry in model.metadata_props] == ['sgnet', 'sha256']
    # Graphs of earlier versions have none.
    (tmp_path / 'a.onnx').write_bytes(guided_graph())
    assert OnnxRuntimeNetwork.from_file(tmp_path / 'a.onnx')[1].config == untrained().config


def test_a_graph_of_other_inputs_than_its_header_is_an_error(runtime, tmp_path):
    onnx = pytest.importorskip('onnx')
    model = onnx.load_model_from_string(guided_graph())
    model.metadata_props[0].value = model.metadata_props[0].value.replace(
        '"width": 96', '"width": 64'
    )
    (tmp_path / 'a.onnx').write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=r'a\.onnx: its graph has .*export it again'):
        OnnxRuntimeNetwork.from_file(tmp_path / 'a.onnx')


# --- what fails in other packages -----------------------------------------------------------------


def test_failed_export_is_an_error_and_auto_falls_back(runtime, cache, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise RuntimeError('\nno translation of aten::stft\nat step 3')

    fail.__signature__ = inspect.signature(torch.onnx.export)
    monkeypatch.setattr(torch.onnx, 'export', fail)
    with pytest.raises(InputError, match=r'\(no translation of aten::stft\): .*the backend torch'):
        Segmenter.from_checkpoint(device='cpu', backend='onnxruntime')
    with caplog.at_level('INFO'):
        assert ', torch,' in Segmenter.from_checkpoint(device='cpu').description
    assert 'aten::stft' in caplog.text
    assert 'at step 3' not in caplog.text


def test_ctrl_c_stops_the_export(runtime, cache, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    interrupt.__signature__ = inspect.signature(torch.onnx.export)
    monkeypatch.setattr(torch.onnx, 'export', interrupt)
    with pytest.raises(KeyboardInterrupt):
        Segmenter.from_checkpoint(device='cpu')


def test_invalid_cached_graph_is_an_error_and_auto_falls_back(runtime, cache, caplog):
    cached_graph(load_checkpoint(), lambda: b'no protobuf')
    (path,) = cache.iterdir()
    with pytest.raises(InputError, match=r'refuses the graph .*backend torch') as caught:
        Segmenter.from_checkpoint(device='cpu', backend='onnxruntime')
    assert f'delete {path}' in str(caught.value)
    with caplog.at_level('INFO'):
        assert ', torch,' in Segmenter.from_checkpoint(device='cpu').description
    assert str(path) in caplog.text


def test_silent_cpu_fallback_is_an_error(runtime, monkeypatch):
    class OnCpu:
        def __init__(self, *args, **kwargs): ...

        def get_providers(self):
            return ['CPUExecutionProvider']

    available = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(runtime, 'get_available_providers', lambda: available)
    monkeypatch.setattr(runtime, 'InferenceSession', OnCpu)
    with pytest.raises(InputError, match=r'does not use cuda:0 but CPU.*backend torch'):
        OnnxRuntimeNetwork(b'', untrained().config, 'cuda:0')
    OnnxRuntimeNetwork(b'', untrained().config, 'cpu')
