# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: round trip and damaged files."""

import dataclasses
import json
from pathlib import Path

import torch
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import untrained
from safetensors.torch import save_file

from sgnet_core.checkpoint.checkpoint import (
    HEADER_KEY,
    Checkpoint,
    load_checkpoint,
    parse_header,
    save_checkpoint,
)
from sgnet_core.errors import CheckpointError
from sgnet_core.labels import NYU13


@pytest.fixture(scope='module')
def checkpoint() -> Checkpoint:
    return untrained()


@pytest.fixture
def path(tmp_path, checkpoint):
    save_checkpoint(tmp_path / 'a.safetensors', checkpoint)
    return tmp_path / 'a.safetensors'


def test_round_trip(path, checkpoint):
    loaded = load_checkpoint(path)
    assert loaded.config == checkpoint.config
    assert loaded.input_spec == checkpoint.input_spec
    assert loaded.label_set == checkpoint.label_set
    assert (loaded.label_set.palette == checkpoint.label_set.palette).all()
    assert loaded.provenance == checkpoint.provenance
    image, depth = torch.randn(1, 3, 64, 96), torch.rand(1, 1, 64, 96)
    with torch.no_grad():
        assert torch.equal(loaded.build()(image, depth), checkpoint.build()(image, depth))
    assert [p.name for p in path.parent.iterdir()] == ['a.safetensors']


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r'no checkpoint at .*nowhere\.safetensors'):
        load_checkpoint(tmp_path / 'nowhere.safetensors')


@pytest.mark.parametrize('keep', [0, 5, 1000, -1000])
def test_truncated_file_is_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match='not a complete safetensors file'):
        load_checkpoint(path)


def test_file_of_another_program_is_refused(tmp_path):
    save_file({'weight': torch.zeros(3)}, tmp_path / 'b.safetensors')
    with pytest.raises(CheckpointError, match='so this package did not write it'):
        load_checkpoint(tmp_path / 'b.safetensors')


def test_other_format_version_is_refused(path, monkeypatch):
    monkeypatch.setattr('sgnet_core.checkpoint.checkpoint.FORMAT', 2)
    with pytest.raises(CheckpointError, match='it has format 1, this version reads 2'):
        load_checkpoint(path)


@pytest.mark.parametrize('part', ['config', 'input_spec'])
def test_file_of_a_newer_version_is_named_so(path, part):
    kind = type(getattr(load_checkpoint(path), part))
    newer = dataclasses.make_dataclass('Newer', [('ahead', int, 3)], bases=(kind,), frozen=True)
    saved = load_checkpoint(path)
    saved = dataclasses.replace(
        saved, **{part: newer(**dataclasses.asdict(getattr(saved, part)), ahead=4)}
    )
    save_checkpoint(path, saved)
    with pytest.raises(CheckpointError, match='unknown keys .ahead.: a newer .*update sgnet'):
        load_checkpoint(path)


def test_old_input_key_is_accepted_with_a_warning(checkpoint, caplog):
    header = checkpoint.header()
    header['input']['holes'] = header['input'].pop('depth_fill')
    loaded = parse_header(Path('old'), {HEADER_KEY: json.dumps(header)}, dict(checkpoint.weights))
    assert loaded.input_spec == checkpoint.input_spec
    assert "old: 'holes' is now called 'depth_fill'" in caplog.text


@pytest.mark.parametrize(
    ('name', 'tensors', 'problem'),
    [
        ('head.norms.2.bias', [], 'is missing'),
        ('head.extra', [torch.zeros(1)], 'is unexpected'),
        ('head.norms.2.bias', [torch.zeros(3)], r'is \(3,\), expected \(64,\)'),
    ],
)
def test_tensor_that_does_not_fit_is_named(checkpoint, name, tensors, problem):
    weights = {other: tensor for other, tensor in checkpoint.weights.items() if other != name}
    weights.update((name, tensor) for tensor in tensors)
    with pytest.raises(CheckpointError, match=f'{name} {problem}'):
        dataclasses.replace(checkpoint, weights=weights).build()


def test_parts_of_different_networks_are_refused(checkpoint):
    with pytest.raises(CheckpointError, match='13 class names, but a network of 40'):
        dataclasses.replace(checkpoint, label_set=NYU13)
    xyz = dataclasses.replace(checkpoint.input_spec, spatial='xyz')
    with pytest.raises(CheckpointError, match="input has spatial 'xyz', its network 'depth'"):
        dataclasses.replace(checkpoint, input_spec=xyz)


@given(place=st.floats(0, 1), byte=st.binary(min_size=1, max_size=4))
def test_changed_bytes_never_load_as_other_weights(checkpoint, tmp_path_factory, place, byte):
    path = tmp_path_factory.getbasetemp() / 'changed.safetensors'
    if not path.exists():
        save_checkpoint(path, checkpoint)
    with path.open('r+b') as file:
        # Half of the places in the header, which is small.
        size = path.stat().st_size
        start = int(min(2 * place * 20_000, 19_999) if place < 0.5 else place * (size - 5))
        file.seek(start)
        before = file.read(len(byte))
        file.seek(start)
        file.write(byte)
    try:
        loaded = load_checkpoint(path)
        same = (torch.equal(loaded.weights[name], t) for name, t in checkpoint.weights.items())
        assert all(same)
        loaded.build()
    except CheckpointError as error:
        assert str(path) in str(error) or 'does not fit the network' in str(error)
    finally:
        with path.open('r+b') as file:
            file.seek(start)
            file.write(before)


@pytest.mark.parametrize(
    ('key', 'value', 'problem'),
    [
        ('config', {'num_classes': 40.0}, 'num_classes must be int'),
        ('config', {'variant': ['sgnet_lite0']}, 'variant must be str'),
        ('input', {'height': 64.0}, 'height must be int'),
        ('input', {'mean': [1, 2, 'x']}, 'mean must be float'),
        ('input', {'width': 32 * 10**6}, 'up to 8192'),
        ('class_names', {0: None}, 'class_names must be str'),
        ('provenance', None, 'provenance must be dict'),
    ],
)
def test_header_of_wrong_types_is_refused(checkpoint, key, value, problem):
    header = json.loads(json.dumps(checkpoint.header()))
    if isinstance(header[key], list):
        header[key][0] = None
    else:
        header[key] = value and {**header[key], **value}
    with pytest.raises(CheckpointError, match=f'^a: .*{problem}'):
        parse_header(Path('a'), {HEADER_KEY: json.dumps(header)}, {})


@pytest.mark.parametrize(
    'text', ['[' * 5000, '{"format": ' + '9' * 5000 + '}', '[]', '{"format": 1, "input": "x"}']
)
def test_header_that_is_no_header_is_refused(text):
    with pytest.raises(CheckpointError, match='^a: '):
        parse_header(Path('a'), {HEADER_KEY: text}, {})
