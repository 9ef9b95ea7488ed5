# SPDX-License-Identifier: Apache-2.0
"""The cache of ONNX graphs."""

import logging
import os
from dataclasses import replace
from importlib import metadata

import pytest
from networks import untrained, with_offsets

from sgnet_core.onnx import cache as onnx_cache
from sgnet_core.onnx.cache import cached_graph


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'sgnet_ros'


class FakeExport:
    """Returns a graph, and counts its calls."""

    def __init__(self, graph=b'a graph'):
        self.graph = graph
        self.count = 0

    def __call__(self):
        self.count += 1
        return self.graph


def test_file_depends_on_all_of_the_graph(cache):
    checkpoint = untrained()
    others = (
        checkpoint,
        with_offsets(checkpoint),
        untrained(spatial='xyz'),
        checkpoint.at_size((96, 64)),
        # The graph carries these.
        replace(checkpoint, input_spec=replace(checkpoint.input_spec, mean=(1.0, 2.0, 3.0))),
        replace(checkpoint, provenance={'data': 'another'}),
    )
    for i, other in enumerate(others):
        assert cached_graph(other, FakeExport(bytes([i]))) == bytes([i])
    assert cached_graph(checkpoint, FakeExport(b'never made')) == bytes([0])
    assert len(list(cache.iterdir())) == len(others)


@pytest.mark.parametrize('package', ['torch', 'onnx', 'onnxscript'])
def test_file_depends_on_the_exporter_versions(cache, monkeypatch, package):
    def version(name):
        if name == package:
            if current is None:
                raise metadata.PackageNotFoundError(name)
            return current
        return '2.0'

    monkeypatch.setattr(metadata, 'version', version)
    versions = ['1.0', '1.1', None]
    for current in versions:
        assert (
            cached_graph(untrained(), FakeExport(repr(current).encode())) == repr(current).encode()
        )
    assert len(list(cache.iterdir())) == len(versions)


@pytest.mark.parametrize('damage', [lambda d: b'', lambda d: d[:-1], lambda d: d[:-1] + b'?'])
def test_damaged_file_is_replaced_with_a_warning(cache, caplog, damage):
    cached_graph(untrained(), FakeExport())
    (path,) = cache.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    make = FakeExport()
    assert cached_graph(untrained(), make) == b'a graph'
    assert make.count == 1
    assert [record.getMessage() for record in caplog.records] == [
        f'the cached ONNX graph {path} is damaged; exporting it again'
    ]
    assert cached_graph(untrained(), make) == b'a graph'
    assert make.count == 1


def test_unwritable_folder_is_a_warning(tmp_path, monkeypatch, caplog):
    (tmp_path / 'file').write_text('where the folder should be')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    make = FakeExport()
    assert cached_graph(untrained(), make) == b'a graph'
    assert make.count == 1
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert 'the next start exports the graph again' in record.getMessage()


def test_least_recently_used_graph_is_deleted(cache, monkeypatch):
    monkeypatch.setattr(onnx_cache, 'KEPT_GRAPHS', 2)
    checkpoint = untrained()
    first, second, third = (checkpoint.at_size((32 * i, 64)) for i in (1, 2, 3))
    for age, item in ((30, first), (20, second)):
        before = set(cache.iterdir()) if cache.exists() else set()
        cached_graph(item, FakeExport())
        (new,) = set(cache.iterdir()) - before
        os.utime(new, (1e9 - age, 1e9 - age))
    cached_graph(first, FakeExport())  # used again: no longer the oldest
    cached_graph(third, FakeExport())
    make = FakeExport()
    cached_graph(first, make)
    cached_graph(third, make)
    assert make.count == 0
    cached_graph(second, make)
    assert make.count == 1


@pytest.mark.parametrize('value', ['', 'relative'])
def test_default_folder_is_below_home(monkeypatch, tmp_path, value):
    monkeypatch.setenv('XDG_CACHE_HOME', value)
    monkeypatch.setenv('HOME', str(tmp_path))
    assert onnx_cache.cache_folder() == tmp_path / '.cache' / 'sgnet_ros'
