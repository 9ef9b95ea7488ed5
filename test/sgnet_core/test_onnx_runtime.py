# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime in the place of PyTorch: same results, and graphs made once."""

import json
import logging
import os
import sys
from dataclasses import replace

import torch
import numpy as np
import pytest
from networks import bent, bent_graph, untrained

from sgnet_core import onnx_cache
from sgnet_core.checkpoint import save_checkpoint
from sgnet_core.cli import run_command
from sgnet_core.errors import InputError
from sgnet_core.model import SGNet, SGNetConfig
from sgnet_core.onnx_cache import cached_graph
from sgnet_core.onnx_graph import at_size
from sgnet_core.onnx_runtime import OnnxRuntimeNetwork, import_onnxruntime
from sgnet_core.segmenter import Segmenter


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'sgnet_ros'


@pytest.fixture
def runtime():
    pytest.importorskip('onnxscript')
    return pytest.importorskip('onnxruntime', minversion='1.25')


class Making:
    """Stands for the making of a graph, and counts."""

    def __init__(self, graph=b'a graph'):
        self.graph = graph
        self.count = 0

    def __call__(self):
        self.count += 1
        return self.graph


# --- the cache ------------------------------------------------------------------------------------


def test_a_graph_is_made_once(cache):
    make = Making()
    assert [cached_graph(untrained(), make) for _ in range(3)] == [b'a graph'] * 3
    assert make.count == 1
    assert len(list(cache.iterdir())) == 1


def test_what_changes_the_graph_changes_the_file(cache):
    checkpoint = untrained()
    others = (checkpoint, bent(checkpoint), untrained(spatial='xyz'), at_size(checkpoint, (96, 64)))
    for i, other in enumerate(others):
        assert cached_graph(other, Making(bytes([i]))) == bytes([i])
    assert cached_graph(checkpoint, Making(b'never made')) == bytes([0])
    assert len(list(cache.iterdir())) == len(others)


@pytest.mark.parametrize('damage', [lambda d: b'', lambda d: d[:-1], lambda d: d[:-1] + b'?'])
def test_a_damaged_file_is_replaced_with_one_line(cache, caplog, damage):
    cached_graph(untrained(), Making())
    (path,) = cache.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    make = Making()
    assert cached_graph(untrained(), make) == b'a graph'
    assert make.count == 1
    assert [record.getMessage() for record in caplog.records] == [
        f'the cached ONNX graph {path} is damaged; it is made anew'
    ]
    assert cached_graph(untrained(), make) == b'a graph'
    assert make.count == 1


def test_without_a_folder_to_write_to_there_is_one_warning(tmp_path, monkeypatch, caplog):
    (tmp_path / 'file').write_text('where the folder should be')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    make = Making()
    assert cached_graph(untrained(), make) == b'a graph'
    assert make.count == 1
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert 'the next start makes it anew' in record.getMessage()


def test_the_graph_used_longest_ago_makes_room(cache, monkeypatch):
    monkeypatch.setattr(onnx_cache, 'KEPT_GRAPHS', 2)
    checkpoint = untrained()
    first, second, third = (at_size(checkpoint, (32 * i, 64)) for i in (1, 2, 3))
    for age, item in ((30, first), (20, second)):
        before = set(cache.iterdir()) if cache.exists() else set()
        cached_graph(item, Making())
        (new,) = set(cache.iterdir()) - before
        os.utime(new, (1e9 - age, 1e9 - age))
    cached_graph(first, Making())  # used again: no longer the oldest
    cached_graph(third, Making())
    make = Making()
    cached_graph(first, make)
    cached_graph(third, make)
    assert make.count == 0
    cached_graph(second, make)
    assert make.count == 1


@pytest.mark.parametrize('value', ['', 'relative'])
def test_without_xdg_cache_home_it_is_below_home(monkeypatch, tmp_path, value):
    monkeypatch.setenv('XDG_CACHE_HOME', value)
    monkeypatch.setenv('HOME', str(tmp_path))
    assert onnx_cache.cache_folder() == tmp_path / '.cache' / 'sgnet_ros'


# --- the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize('spatial', ['depth', 'features'])
def test_scores_are_those_of_pytorch(runtime, spatial):
    checkpoint = bent(untrained(spatial=spatial))
    network = OnnxRuntimeNetwork(bent_graph(spatial), checkpoint.config)
    torch.manual_seed(1)
    image = torch.randn(1, 3, 64, 96)
    depth = torch.rand(1, 1, 64, 96) * 5 if spatial == 'depth' else None
    with torch.inference_mode():
        expected = checkpoint.build()(image, depth)
        # What the segmenter hands over is channels last.
        got = network(image.contiguous(memory_format=torch.channels_last), depth)
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
    network = OnnxRuntimeNetwork(bent_graph(), untrained().config)
    with pytest.raises(ValueError, match=message):
        network(torch.zeros(image), None if spatial is None else torch.zeros(spatial))


def test_the_segmenter_gives_the_same_masks(runtime, cache, tmp_path, tiny_samples, monkeypatch):
    checkpoint = bent(untrained())
    path = tmp_path / 'a.safetensors'
    save_checkpoint(path, checkpoint)
    cached_graph(checkpoint, bent_graph)
    reference = Segmenter.from_checkpoint(path, device='cpu', backend='torch')
    # A cached graph is run where no graph can be made.
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    segmenter = Segmenter.from_checkpoint(path, device='cpu', backend='onnxruntime')
    assert f'onnxruntime {runtime.__version__}' in segmenter.description
    assert 'torch' in reference.description
    segmenter.warm_up()
    for sample in tiny_samples:
        got, expected = segmenter.segment(sample.frame), reference.segment(sample.frame)
        assert (got.labels == expected.labels).mean() > 0.99
        np.testing.assert_allclose(got.confidence, expected.confidence, atol=1e-4)


@pytest.mark.parametrize(
    ('variant', 'precision', 'engine'),
    [
        ('sgnet_lite0', 'auto', 'onnxruntime'),
        ('sgnet_lite0', 'bf16', 'torch'),
        ('sgnet_r18', 'auto', 'torch'),
    ],
)
def test_auto_is_the_faster_one(runtime, cache, tmp_path, variant, precision, engine):
    checkpoint = untrained()
    config = SGNetConfig(variant, len(checkpoint.label_set))
    checkpoint = replace(checkpoint, config=config, weights=SGNet(config).state_dict())
    path = tmp_path / 'a.safetensors'
    save_checkpoint(path, checkpoint)
    if engine == 'onnxruntime':
        # What the graph holds is another test's concern.
        cached_graph(checkpoint, bent_graph)
    assert engine in Segmenter.from_checkpoint(path, 'cpu', precision).description


def test_auto_does_without_onnxruntime(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with caplog.at_level('INFO'):
        assert ', torch,' in Segmenter.from_checkpoint(device='cpu').description
    assert 'pip install' in caplog.text


def test_evaluation_is_the_same(runtime, cache, tmp_path, tiny_dataset):
    path = tmp_path / 'a.safetensors'
    save_checkpoint(path, bent(untrained()))
    cached_graph(bent(untrained()), bent_graph)
    confusion = {}
    for backend in ('torch', 'onnxruntime'):
        report = tmp_path / f'{backend}.json'
        arguments = ['--data', str(tiny_dataset.root), '--checkpoint', str(path)]
        arguments += ['--device', 'cpu', '--backend', backend, '--json', str(report)]
        assert run_command('sgnet_core', 'evaluate', arguments) == 0
        confusion[backend] = np.array(json.loads(report.read_text())['confusion'])
    assert confusion['torch'].sum() > 1000
    assert abs(confusion['torch'] - confusion['onnxruntime']).sum() <= 10


@pytest.mark.parametrize('command', ['evaluate', 'predict'])
def test_a_command_names_an_unknown_backend(command, tiny_dataset, tmp_path, capsys):
    arguments = ['--data', str(tiny_dataset.root), '--backend', 'tensorrt']
    arguments += ['--out', str(tmp_path / 'out')] if command == 'predict' else []
    assert run_command('sgnet_core', command, arguments) == 2
    assert "unknown backend 'tensorrt'" in capsys.readouterr().err


@pytest.mark.parametrize('precision', ['fp16', 'bf16'])
def test_it_computes_in_single_precision_only(precision):
    with pytest.raises(InputError, match=f'computes in fp32, not in {precision!r}'):
        Segmenter.from_checkpoint(precision=precision, backend='onnxruntime')


def test_an_unknown_backend_is_named():
    with pytest.raises(InputError, match=r"'tensorrt'; there are auto, torch, onnxruntime"):
        Segmenter.from_checkpoint(backend='tensorrt')


def test_a_missing_onnxruntime_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(InputError, match=r"pip install 'onnxruntime>=1.25'.*backend torch"):
        Segmenter.from_checkpoint(device='cpu', backend='onnxruntime')


def test_an_onnxruntime_without_the_operator_is_named(runtime, monkeypatch):
    monkeypatch.setattr(runtime, '__version__', '1.9.1')
    with pytest.raises(InputError, match=r'1\.9\.1 has no DeformConv'):
        import_onnxruntime()


def test_an_onnxruntime_without_cuda_is_named(runtime, monkeypatch):
    monkeypatch.setattr(runtime, 'get_available_providers', lambda: ['CPUExecutionProvider'])
    with pytest.raises(InputError, match=r'cannot use cuda:0: install onnxruntime-gpu'):
        OnnxRuntimeNetwork(bent_graph(), untrained().config, 'cuda:0')


def test_onnxruntime_does_not_report_to_its_makers(runtime, monkeypatch):
    monkeypatch.delenv('ORT_DISABLE_TELEMETRY')
    import_onnxruntime()
    assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'
    monkeypatch.setenv('ORT_DISABLE_TELEMETRY', '0')
    import_onnxruntime()
    assert os.environ['ORT_DISABLE_TELEMETRY'] == '0', 'the user wants it'
