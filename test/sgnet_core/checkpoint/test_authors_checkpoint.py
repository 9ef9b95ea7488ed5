# SPDX-License-Identifier: Apache-2.0
"""Conversion of the checkpoints of SGNet's authors."""

import json
import os
import zipfile
from pathlib import Path

import torch
import numpy as np
import pytest
from authors_files import DEPTHS, constant_state, write_authors_file
from hypothesis import given
from hypothesis import strategies as st

from sgnet_core.checkpoint.authors_checkpoint import convert, read_state_dict
from sgnet_core.checkpoint.checkpoint import load_checkpoint
from sgnet_core.checkpoint.torch_files import load_tensors
from sgnet_core.cli.runner import run_command
from sgnet_core.errors import CheckpointError, InputError
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import NYU13, NYU37


def test_convert_command_writes_a_working_checkpoint(tmp_path, capsys, tiny_samples):
    state = constant_state('sgnet_r50')
    path = write_authors_file(tmp_path / 'SGNet_Res50.pth.tar', state)
    out, report = tmp_path / 'new' / 'r50.safetensors', tmp_path / 'report.json'
    argv = [str(path), str(out), '--variant', 'sgnet_r50', '--json', str(report)]
    assert run_command('sgnet_core', 'convert_checkpoint', argv) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == (
        f'sgnet_r50, 40 classes (nyu40), 34.56 million parameters, 571 of 579 tensors used: {out}'
    )
    assert len(lines) == len(state) + 2
    values = json.loads(report.read_text())
    assert [use['source'] for use in values['tensors']] == [f'module.{name}' for name in state]
    uses = {use['source']: use for use in values['tensors']}
    assert uses['module.dsn4.3.bias'] == {
        'source': 'module.dsn4.3.bias', 'target': 'head.4.bias', 'shape': [40], 'change': ''
    }  # fmt: skip
    assert uses['module.bn1.weight']['change'] == '|x| + 1e-05'
    assert uses['module.dsn3.0.weight']['target'] is None

    checkpoint = load_checkpoint(out)
    assert checkpoint.provenance['converted_from'] == 'SGNet_Res50.pth.tar'
    assert checkpoint.weights['backbone.bn1.weight'].unique().tolist() == [pytest.approx(0.50001)]
    assert not checkpoint.has_auxiliary
    frame = tiny_samples[0].frame
    assert Segmenter.from_checkpoint(out, 'cpu').segment(frame).labels.shape == frame.size


@pytest.mark.parametrize(
    ('variant', 'kept', 'dropped'),
    [('sgnet_r50', 39.30, 34.56), ('sgnet_r101', 58.30, 53.56), ('sgnet_aspp_r101', 64.72, 59.98)],
)
def test_auxiliary_head_is_kept_or_dropped(variant, kept, dropped):
    state = constant_state(variant)
    with_it, _ = convert(state, variant, keep_auxiliary=True)
    assert with_it.has_auxiliary
    assert millions(with_it.build(auxiliary=True)) == kept
    assert millions(with_it.build()) == dropped
    for name in [name for name in state if name.startswith('dsn3.')]:
        del state[name]
    without, _ = convert(state, variant)
    assert millions(without.build()) == dropped
    with pytest.raises(CheckpointError, match='auxiliary_head.0.weight is missing'):
        without.build(auxiliary=True)
    with pytest.raises(CheckpointError, match=r'dsn3\.0\.weight is missing'):
        convert(state, variant, keep_auxiliary=True)


def millions(network: torch.nn.Module) -> float:
    return round(sum(p.numel() for p in network.parameters()) / 1e6, 2)


@pytest.mark.parametrize('labels', [NYU37, NYU13])
def test_classes_follow_from_the_file(labels):
    state = constant_state('sgnet_r50', len(labels))
    assert convert(state, 'sgnet_r50')[0].label_set == labels
    with pytest.raises(CheckpointError, match='has 40 classes, nyu37 has 37; known sets: nyu40'):
        convert(constant_state('sgnet_r50'), 'sgnet_r50', NYU37)
    with pytest.raises(CheckpointError, match=r'has 21 classes; known sets: nyu40 \(40\), nyu37'):
        convert(constant_state('sgnet_r50', 21), 'sgnet_r50')


@pytest.mark.parametrize(
    ('name', 'tensor', 'problem'),
    [
        ('layer3.4.conv2.offset_generator.bias', None, 'is missing'),
        ('dsn4.3.bias', None, 'is missing'),
        ('fc.weight', torch.zeros(3), 'is unexpected'),
        ('conv2.bias', torch.zeros(64), 'is unexpected'),
        ('bn1.weight', torch.zeros(3), r'is \(3,\), expected \(64,\)'),
        ('layer2.0.conv2.bias', torch.zeros(3), r'is \(3,\), expected \(128,\)'),
        ('bn1.running_var', torch.full((64,), torch.nan), 'has values that are not finite'),
        ('bn1.weight', torch.zeros(64, dtype=torch.int32), 'has values that are not finite'),
        ('bn1.weight', 3, 'is of type int, expected a tensor'),
        ('dsn4.3.bias', torch.zeros(256), 'has 256 classes; 1 to 255 are supported'),
        ('dsn4.3.bias', torch.zeros(()), r'is \(\), expected \(40,\)'),
    ],
)
def test_tensor_that_does_not_fit_is_named(name, tensor, problem):
    state = constant_state('sgnet_r50') | {name: tensor}
    if tensor is None:
        del state[name]
    with pytest.raises(CheckpointError, match=f'{name} {problem}'):
        convert(state, 'sgnet_r50')


@pytest.mark.parametrize('variant', DEPTHS)
@pytest.mark.parametrize('wrong', DEPTHS)
def test_wrong_variant_names_the_right_one(variant, wrong):
    state = constant_state(variant)
    if variant == wrong:
        convert(state, variant)
        return
    with pytest.raises(CheckpointError, match=f'it looks like {variant}: give --variant {variant}'):
        convert(state, wrong)


def test_unknown_variant_is_refused():
    with pytest.raises(InputError, match="sgnet_aspp_r101, got 'sgnet_r18'"):
        convert({}, 'sgnet_r18')


@pytest.mark.parametrize('old_format', [True, False])
@pytest.mark.parametrize('module', [b'numpy._core', b'numpy.core'])
def test_numpy_scalars_are_ignored(module, old_format, tmp_path):
    state = {'conv1.weight': torch.rand(2, 3)}
    scores = {'best_mIOU': np.float64(0.49), 'seen': [np.int64(3), np.float32(2)]}
    path = write_authors_file(tmp_path / 'a.pth.tar', state, old_format, **scores)
    if old_format:  # a zip would need another checksum
        content = path.read_bytes()
        assert b'multiarray' in content
        path.write_bytes(content.replace(b'numpy._core', module).replace(b'numpy.core', module))
    assert torch.equal(read_state_dict(path)['module.conv1.weight'], state['conv1.weight'])


def test_file_saved_on_a_gpu_is_read_without_one(tmp_path):
    state = {'conv1.weight': torch.rand(2, 3)}
    path = write_authors_file(tmp_path / 'a.pth.tar', state)
    content = path.read_bytes()
    on_gpu = content.replace(b'ctorch\nFloatStorage', b'ctorch.cuda\nFloatStorage')
    on_gpu = on_gpu.replace(b'X\x03\0\0\0cpu', b'X\x06\0\0\0cuda:0')
    assert len(on_gpu) == len(content) + 5 + 3
    path.write_bytes(on_gpu)
    assert torch.equal(read_state_dict(path)['module.conv1.weight'], state['conv1.weight'])


class Trap:
    """Unpickled by `pickle`, it would run a command."""

    def __init__(self, function, argument) -> None:
        self.call = function, (argument,)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('old_format', [True, False])
@pytest.mark.parametrize('function', [os.system, eval])
def test_code_in_a_file_is_not_run(function, old_format, tmp_path, capsys):
    witness = tmp_path / 'witness'
    code = f'touch {witness}' if function is os.system else f'open({str(witness)!r}, "w")'
    path = write_authors_file(tmp_path / 'a.pth.tar', {}, old_format, trap=Trap(function, code))
    out = tmp_path / 'out.safetensors'
    argv = [str(path), str(out), '--variant', 'sgnet_r50']
    assert run_command('sgnet_core', 'convert_checkpoint', argv) == 2
    message = capsys.readouterr().err
    assert message.count('\n') == 1
    assert f'{function.__name__}, which a file of tensors does not need; it was refused' in message
    assert not witness.exists()
    assert not out.exists()


@pytest.mark.parametrize(
    ('spoil', 'problem'),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-60]), 'cannot be read as a PyTorch'),
        (lambda path: path.write_bytes(b''), 'cannot be read as a PyTorch file'),
        (lambda path: path.write_text('<html>not found</html>'), 'cannot be read as a PyTorch'),
        (Path.unlink, 'does not exist'),
        (lambda path: torch.save([3], path), 'has no state_dict of named tensors; it holds list'),
        (lambda path: torch.save({'epoch': 3}, path), r"it holds \['epoch'\]"),
        (lambda path: torch.save({'state_dict': {3: torch.ones(1)}}, path), 'no state_dict of nam'),
    ],
)
@pytest.mark.parametrize('old_format', [True, False])
def test_unreadable_file_is_refused(spoil, problem, old_format, tmp_path):
    path = write_authors_file(
        tmp_path / 'a.pth.tar', {'conv1.weight': torch.rand(2, 3)}, old_format
    )
    spoil(path)
    with pytest.raises(CheckpointError, match=problem) as caught:
        read_state_dict(path)
    assert '\n' not in str(caught.value)
    assert 'weights_only' not in str(caught.value)  # PyTorch's advice is to read it unsafely


@pytest.mark.parametrize('old_format', [True, False])
@given(place=st.floats(0, 0.999), piece=st.binary(min_size=1, max_size=9), cut=st.booleans())
def test_changed_bytes_are_read_or_named(tmp_path_factory, old_format, place, piece, cut):
    path = tmp_path_factory.getbasetemp() / 'changed.pth.tar'
    content = bytearray(write_authors_file(path, {'a.b': torch.rand(9)}, old_format).read_bytes())
    start = int(place * len(content))
    content[start : start + len(piece)] = piece
    path.write_bytes(content[:start] if cut else content)
    try:
        read_state_dict(path)
    except CheckpointError as error:
        assert str(path) in str(error) and '\n' not in str(error)


def test_what_pytorch_does_not_check_is_named(tmp_path):
    path = tmp_path / 'a.pt'
    torch.save({'a': torch.arange(100.0)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(100.0).numpy().tobytes()) + 2] ^= 64
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='the checksum of .*data/0 differs'):
        load_tensors(path)
    torch.save({'a': torch.zeros(10**6)}, path)
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / 'b', 'w', 8) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(CheckpointError, match='its entries are compressed'):
        load_tensors(tmp_path / 'b')


@pytest.mark.parametrize(
    ('name', 'options', 'problem'),
    [
        ('b', ['--labels', 'nyu41'], '--labels must be one of nyu40, nyu37'),
        ('b', ['--labels', 'nyu37'], 'has 40 classes, nyu37 has 37'),
        ('a.pth.tar', [], 'cannot be written to'),
    ],
)
def test_convert_command_reports_errors_in_one_line(name, options, problem, tmp_path, capsys):
    path = write_authors_file(tmp_path / 'a.pth.tar', constant_state('sgnet_r50'))
    before = path.read_bytes()
    argv = [str(path), f'{tmp_path}/./{name}', '--variant', 'sgnet_r50', *options]
    assert run_command('sgnet_core', 'convert_checkpoint', argv) == 2
    message = capsys.readouterr().err
    assert problem in message and message.count('\n') == 1
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


@pytest.mark.parametrize('old_format', [True, False])
def test_load_checkpoint_names_the_convert_command(old_format, tmp_path):
    path = write_authors_file(
        tmp_path / 'SGNet.pth.tar', {'conv1.weight': torch.rand(2, 3)}, old_format
    )
    with pytest.raises(CheckpointError, match='needs `convert_checkpoint`'):
        load_checkpoint(path)
