# SPDX-License-Identifier: Apache-2.0
"""Keeps ONNX graphs in the user's cache folder, because an export takes about ten seconds.

A file holds the SHA-256 of the graph and the graph. Its name is the digest of the weights, the
header of the checkpoint, the code of the network and its export, and the versions of the exporters.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sgnet_core import model, ops
from sgnet_core.checkpoint.checkpoint import Checkpoint
from sgnet_core.errors import WriteError
from sgnet_core.io.files import write_file
from sgnet_core.runtime.environment import installed_version

SUFFIX = '.graph'
KEPT_GRAPHS = 8
"""Least recently used graphs are deleted: those of a ResNet-101 take 200 MB each."""

_EXPORTERS = ('torch', 'onnx', 'onnxscript')
_DIGEST_BYTES = hashlib.sha256().digest_size

logger = logging.getLogger(__name__)


def cached_graph(checkpoint: Checkpoint, make: Callable[[], bytes]) -> bytes:
    """The serialised graph of a checkpoint, from the cache or from `make`.

    A damaged file is replaced; a folder that cannot be written is a warning.
    """
    try:
        path = _path(checkpoint)
        graph = _read(path)
    except (OSError, RuntimeError) as error:
        logger.warning(
            'cannot use the cache of ONNX graphs; the next start exports the graph again: %s', error
        )
        return make()
    if graph is None:
        graph = make()
        _write(path, graph)
    return graph


def file_of(checkpoint: Checkpoint) -> Path | None:
    """The cached file of a checkpoint; None if there is none."""
    with suppress(OSError, RuntimeError):
        if (path := _path(checkpoint)).is_file():
            return path
    return None


def cache_folder() -> Path:
    """`sgnet_ros` in the user's XDG cache folder; RuntimeError if the user has no home."""
    wanted = Path(os.environ.get('XDG_CACHE_HOME', ''))
    # The specification ignores relative paths.
    return (wanted if wanted.is_absolute() else Path.home() / '.cache') / 'sgnet_ros'


def _path(checkpoint: Checkpoint) -> Path:
    digest = hashlib.sha256(checkpoint.digest().encode())
    digest.update(json.dumps(checkpoint.header(), sort_keys=True).encode())
    digest.update(repr([installed_version(package) for package in _EXPORTERS]).encode())
    folders = [Path(package.__file__).parent for package in (model, ops)]
    code = [path for folder in folders for path in folder.glob('*.py')]
    code.append(Path(__file__).with_name('export.py'))
    for source in sorted(code):
        digest.update(source.read_bytes())
    return cache_folder() / f'{checkpoint.config.variant}_{digest.hexdigest()[:32]}{SUFFIX}'


def _read(path: Path) -> bytes | None:
    """The graph; None if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    graph = data[_DIGEST_BYTES:]
    if hashlib.sha256(graph).digest() != data[:_DIGEST_BYTES]:
        logger.warning('the cached ONNX graph %s is damaged; exporting it again', path)
        return None
    with suppress(OSError):
        # The modification time is the time of last use. The folder may be read-only.
        path.touch()
    return graph


def _write(path: Path, graph: bytes) -> None:
    try:
        write_file(path, hashlib.sha256(graph).digest() + graph)
        oldest_first = sorted(path.parent.glob(f'*{SUFFIX}'), key=lambda p: p.stat().st_mtime)
        for old in oldest_first[:-KEPT_GRAPHS]:
            old.unlink(missing_ok=True)
    except (OSError, WriteError) as error:
        logger.warning('cannot cache; the next start exports the graph again: %s', error)
