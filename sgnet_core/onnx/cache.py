# SPDX-License-Identifier: Apache-2.0
"""Keeps ONNX graphs in the user's cache folder: making one takes some ten seconds, reading none.

A file is the SHA-256 of the graph, then the graph: damage is found and never run. Its name is the
digest of what decides the graph: the weights, the checkpoint's header, the code of the network and
of its export, and the versions of the packages that export. A change of one of these makes a new
graph; what those packages import themselves is not watched.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from sgnet_core import model, ops
from sgnet_core.checkpoint.checkpoint import Checkpoint
from sgnet_core.io.files import atomic_write

SUFFIX = '.graph'
KEPT_GRAPHS = 8
"""The graphs used longest ago make room: those of a ResNet-101 take 200 MB each."""

_EXPORTERS = ('torch', 'onnx', 'onnxscript')
_ABANDONED_S = 24 * 3600.0
"""No graph takes that long to write: whoever began is gone."""
_DIGEST_BYTES = hashlib.sha256().digest_size

logger = logging.getLogger(__name__)


def cached_graph(checkpoint: Checkpoint, make: Callable[[], bytes]) -> bytes:
    """The serialised graph of a checkpoint: from the cache, or from `make` and then cached.

    A damaged file is replaced; a folder that cannot be written costs a warning and the time of
    making the graph anew.
    """
    try:
        path = cache_folder() / _file_name(checkpoint)
        graph = _read(path)
    except (OSError, RuntimeError) as error:
        logger.warning(
            'the cache of ONNX graphs cannot be used, the next start makes it anew: %s', error
        )
        return make()
    if graph is None:
        graph = make()
        _write(path, graph)
    return graph


def file_of(checkpoint: Checkpoint) -> Path | None:
    """The file in the cache that holds the graph of a checkpoint; None where there is none."""
    with suppress(OSError, RuntimeError):
        path = cache_folder() / _file_name(checkpoint)
        return path if path.is_file() else None
    return None


def cache_folder() -> Path:
    """`sgnet_ros` in the user's cache folder, as the XDG specification names it.

    Raises:
        RuntimeError: the user has no home.
    """
    wanted = Path(os.environ.get('XDG_CACHE_HOME', ''))
    # The specification has relative paths ignored.
    return (wanted if wanted.is_absolute() else Path.home() / '.cache') / 'sgnet_ros'


def _file_name(checkpoint: Checkpoint) -> str:
    digest = hashlib.sha256(checkpoint.digest().encode())
    digest.update(json.dumps(checkpoint.header(), sort_keys=True).encode())
    digest.update(repr([_version(package) for package in _EXPORTERS]).encode())
    folders = [Path(package.__file__).parent for package in (model, ops)]
    code = [path for folder in folders for path in folder.glob('*.py')]
    code.append(Path(__file__).with_name('export.py'))
    for source in sorted(code):
        digest.update(source.read_bytes())
    return f'{checkpoint.config.variant}_{digest.hexdigest()[:32]}{SUFFIX}'


def _version(package: str) -> str:
    """Empty where it is not installed: a graph may be cached all the same."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ''


def _read(path: Path) -> bytes | None:
    """The graph; None where there is none or it is damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    graph = data[_DIGEST_BYTES:]
    if hashlib.sha256(graph).digest() != data[:_DIGEST_BYTES]:
        logger.warning('the cached ONNX graph %s is damaged; it is made anew', path)
        return None
    with suppress(OSError):
        # What is used last is deleted last; a folder that is only readable does as well.
        path.touch()
    return graph


def _write(path: Path, graph: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            partial.write_bytes(hashlib.sha256(graph).digest() + graph)
        oldest_first = sorted(path.parent.glob(f'*{SUFFIX}'), key=lambda p: p.stat().st_mtime)
        for old in oldest_first[:-KEPT_GRAPHS]:
            old.unlink(missing_ok=True)
        # Of processes that were killed while they wrote.
        for partial in path.parent.glob(f'*{SUFFIX}.*.partial'):
            if time.time() - partial.stat().st_mtime > _ABANDONED_S:
                partial.unlink(missing_ok=True)
    except OSError as error:
        logger.warning('the ONNX graph cannot be cached, the next start makes it anew: %s', error)
