# SPDX-License-Identifier: Apache-2.0
"""Names of files that come from other files: ids, patterns and archive members."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from sgnet_core.errors import DataError

_MAX_PART_BYTES = 255
"""File systems allow no longer name of a file or folder."""


def inside(folder: Path, name: str, writing: bool = False) -> Path:
    """The path `folder / name`, which never leads outside `folder`.

    Args:
        writing: do not follow links inside `folder`. Readers follow them: datasets under git-annex
            or DVC consist of links, and only the owner of the folder can place one.

    Raises:
        DataError: `name` is not a relative path below `folder`.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith('/') or '..' in parts or '\0' in name:
        raise DataError(f'{name!r} leads outside its folder; use a relative path without ".."')
    if any(len(part.encode('utf-8', 'surrogatepass')) > _MAX_PART_BYTES for part in parts):
        raise DataError(f'{name!r} is too long for a file; use at most {_MAX_PART_BYTES} bytes')
    path = folder / name
    if writing and not path.parent.resolve().is_relative_to(folder.resolve()):
        raise DataError(f'{path} is behind a link to outside {folder}; remove the link')
    return path
