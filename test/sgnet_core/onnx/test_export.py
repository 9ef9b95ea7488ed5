# SPDX-License-Identifier: Apache-2.0
"""Export to ONNX, parity check, and the command `export`."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
import numpy as np
import pytest
from torch import nn
from networks import guided_graph, randomize_offsets, untrained, with_offsets

from sgnet_core.checkpoint.checkpoint import HEADER_KEY
from sgnet_core.cli.runner import run_command
from sgnet_core.errors import InputError
from sgnet_core.model import SConv2d, SGNet, SGNetConfig, modulated_deform_conv2d
from sgnet_core.model.fusion import fuse
from sgnet_core.onnx.export import checkpoint_to_onnx, network_to_onnx
from sgnet_core.onnx.parity import Parity, compare
from sgnet_core.preprocessing import InputSpec

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxscript')
runtime = pytest.importorskip('onnxruntime', minversion='1.25')

SIZE = (64, 96)


def run(model, *inputs):
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider']
    )
    names = [item.name for item in session.get_inputs()]
    feed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    (scores,) = session.run(None, feed)
    return torch.from_numpy(scores)


def assert_same(got, expected):
    """Equal up to float32 rounding, of values that are not all alike."""
    scale = expected.std()
    assert scale > 1e-3
    torch.testing.assert_close(got / scale, expected / scale, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ('variant', 'joint_bilateral'),
    [('sgnet_r18', False), ('sgnet_r18', True), ('sgnet_vits', False)],
)
def test_scores_equal_pytorch_at_any_batch_size(variant, joint_bilateral):
    """test_session.py has lite variants."""
    torch.manual_seed(2)
    network = randomize_offsets(SGNet(SGNetConfig(variant, 7, 'xyz', joint_bilateral)))
    model = network_to_onnx(fuse(network), SIZE, dynamic_batch=True)
    for batch in (3, 1):
        inputs = torch.randn(batch, 3, *SIZE), torch.rand(batch, 3, *SIZE) * 5
        with torch.no_grad():
            assert_same(run(model, *inputs), network(*inputs))


class OneSConv(nn.Module):
    """The interface of a network around one S-Conv, which the small variants have no strides in."""

    config = SGNetConfig(spatial='depth')

    def __init__(self, **window):
        super().__init__()
        self.sconv = SConv2d(3, 5, 1, 8, **window)

    def forward(self, image, spatial):
        return self.sconv(image, spatial)


class OneOperator(nn.Module):
    """The bare operator with a bias, its offsets and mask made of the inputs."""

    config = SGNetConfig(spatial='depth')

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 2))
        self.bias = nn.Parameter(torch.randn(4))

    def forward(self, image, spatial):
        window = {'stride': (2, 1), 'padding': (1, 0), 'dilation': (1, 2)}
        depth = spatial[:, :, ::2, 2:].expand(-1, 6, -1, -1)
        ramp = torch.arange(12.0)[:, None, None] - 5.0
        offset = depth.repeat(1, 2, 1, 1) * ramp
        return modulated_deform_conv2d(
            image, offset, torch.sigmoid(depth + ramp[:6]), self.weight, self.bias, **window
        )


@pytest.mark.parametrize(
    'network',
    [
        OneSConv(stride=2),
        OneSConv(padding=2, dilation=2),
        OneSConv(kernel_size=5, padding=2),
        OneOperator(),
    ],
    ids=['stride 2', 'dilation 2', '5x5', 'operator'],
)
def test_operator_windows_are_exported(network):
    torch.manual_seed(4)
    randomize_offsets(network)
    image, spatial = torch.randn(1, 3, 10, 14), torch.randn(1, 1, 10, 14) * 2
    with torch.no_grad():
        assert_same(
            run(network_to_onnx(network, (10, 14)), image, spatial), network(image, spatial)
        )


@pytest.fixture(scope='module')
def model():
    return onnx.load_from_string(guided_graph())


def test_graph_is_plain_opset_19(model):
    assert [(item.domain, item.version) for item in model.opset_import] == [('', 19)]
    assert {node.domain for node in model.graph.node} == {''}
    nodes = [node for node in model.graph.node if node.op_type == 'DeformConv']
    assert len(nodes) == 6  # three S-Convs, each with its weight generator
    assert all(name for node in nodes for name in node.input), 'TensorRT wants bias and mask'


def test_graph_has_the_checkpoint_header(model):
    checkpoint = with_offsets(untrained())
    metadata = {item.key: item.value for item in model.metadata_props}
    header = json.loads(metadata[HEADER_KEY])
    assert header == json.loads(json.dumps(checkpoint.header()))
    assert InputSpec(**header['input']).size == SIZE
    assert tuple(header['class_names']) == checkpoint.label_set.class_names
    np.testing.assert_array_equal(header['palette'], checkpoint.label_set.palette)


def test_graph_has_no_local_paths():
    for text in (str(Path(__file__).parents[3]), str(Path(torch.__file__).parent), '.py'):
        assert text.encode() not in guided_graph()


# --- parity ---------------------------------------------------------------------------------------


def test_parity_of_known_scores(tiny_samples):
    """Half of the pixels change their class; one of two scores differs by 3."""
    spec = replace(untrained().input_spec, spatial='none')
    left = torch.zeros(1, 2, *SIZE)
    left[:, 1, :, 48:] = 1.0

    def reference(image, spatial):
        return left.expand(len(image), -1, -1, -1)

    def other(image, spatial):
        return reference(image, spatial) + torch.tensor([0.0, -3.0]).view(1, 2, 1, 1)

    same = compare(reference, reference, spec, tiny_samples, batch=2)
    assert same == Parity(len(tiny_samples), 0.0, 0.0, 1.0)
    assert same.good
    parity = compare(reference, other, spec, tiny_samples, batch=2)
    assert parity.frames == len(tiny_samples)
    assert (parity.largest_difference, parity.mean_difference) == (3.0, 1.5)
    assert parity.equal_labels == pytest.approx(0.5, abs=0.03)
    assert not parity.good


def test_parity_of_nan_scores_is_not_good(tiny_samples):
    def reference(image, spatial):
        return torch.full((len(image), 3, 8, 12), torch.nan)

    assert not compare(reference, reference, untrained().input_spec, tiny_samples).good


# --- the command ----------------------------------------------------------------------------------


def test_command_exports_the_bundled_model(tmp_path):
    out, report = tmp_path / 'new' / 'net.onnx', tmp_path / 'report.json'
    arguments = ['--out', str(out), '--size', '96x160', '--dynamic-batch', '--frames', '3']
    assert run_command('sgnet_core', 'export', [*arguments, '--json', str(report)]) == 0
    results = json.loads(report.read_text())
    assert results['good']
    assert results['frames'] == 3
    assert results['equal_labels'] >= 0.999
    assert results['mean_difference'] <= results['largest_difference'] < 1e-2
    assert results['input_size'] == [96, 160]
    assert results['versions']['onnxruntime'] == runtime.__version__
    shape = onnx.load(out).graph.input[0].type.tensor_type.shape.dim
    assert [item.dim_param or item.dim_value for item in shape] == ['batch', 3, 96, 160]
    assert [path.name for path in out.parent.iterdir()] == ['net.onnx']


def test_command_keeps_the_old_file_if_parity_fails(tmp_path, tiny_dataset, monkeypatch, capsys):
    graph = onnx.load_from_string(guided_graph())
    monkeypatch.setattr(
        'sgnet_core.checkpoint.checkpoint.load_checkpoint', lambda path: untrained()
    )
    monkeypatch.setattr('sgnet_core.onnx.export.checkpoint_to_onnx', lambda *_: graph)
    out, report = tmp_path / 'net.onnx', tmp_path / 'report.json'
    out.write_text('an older export')
    data = ['--parity-data', str(tiny_dataset.root), '--split', 'fit', '--frames', '2']
    arguments = [*data, '--out', str(out), '--json', str(report)]
    assert run_command('sgnet_core', 'export', arguments) == 1
    assert 'of the labels equal those of PyTorch, 99.9% are required' in capsys.readouterr().err
    assert out.read_text() == 'an older export'
    assert sorted(path.name for path in tmp_path.glob('net*')) == ['net.onnx']
    results = json.loads(report.read_text())
    assert not results['good']
    assert results['equal_labels'] < 0.999
    assert results['frames'] == 2


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--size', '100x160'], 'multiples of 32 up to 8192, got 100x160'),
        (['--frames', '0'], '--frames must be at least 1, got 0'),
        (['--split', 'val'], 'give --parity-data too'),
        (['--checkpoint', 'nowhere.safetensors'], 'no checkpoint at nowhere.safetensors'),
        (['--out', '.'], '--out must be a file, . is a folder'),
    ],
)
def test_command_rejects_invalid_input(tmp_path, capsys, arguments, message):
    out = tmp_path / 'net.onnx'
    assert run_command('sgnet_core', 'export', ['--out', str(out), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize('package', ['onnx', 'onnxscript'])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf'{package}.*pip install onnx onnxscript'):
        checkpoint_to_onnx(untrained())


def test_a_pytorch_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(torch.onnx, 'export', lambda model, args: None)
    with pytest.raises(InputError, match='cannot export operators other than its own: update it'):
        checkpoint_to_onnx(untrained())
