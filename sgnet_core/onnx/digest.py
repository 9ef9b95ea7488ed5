# SPDX-License-Identifier: Apache-2.0
"""A digest at the end of exported graphs: a changed weight gives other masks, but no error."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sgnet_core.errors import CheckpointError

# An entry `sha256` of ModelProto.metadata_props as protobuf: parsers add it to the graph before it.
_ENTRY = b'\x72\x4a\x0a\x06sha256\x12\x40'
_LENGTH = len(_ENTRY) + 64


def with_digest(graph: bytes) -> bytes:
    """A serialised graph, followed by the metadata entry `sha256` of its bytes."""
    return graph + _ENTRY + hashlib.sha256(graph).hexdigest().encode()


def check_digest(path: Path, graph: bytes) -> None:
    """Raise CheckpointError if a graph has a digest of other bytes."""
    content, digest = graph[:-_LENGTH], graph[-_LENGTH:]
    if digest.startswith(_ENTRY) and with_digest(content) != graph:
        raise CheckpointError(
            f'{path} has changed since `export` wrote it; copy or export it again (if a tool '
            'changed it on purpose, delete its metadata entry sha256)'
        )
