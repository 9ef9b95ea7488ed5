# SPDX-License-Identifier: Apache-2.0
"""Atomic writing of files, and JSON files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sgnet_core.errors import InputError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` unless the block raises."""
    partial = _partial(path)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check_json_destination(destination: str | Path | None) -> None:
    """Raise InputError before a long run if `write_json` cannot write to `destination`."""
    if destination is None or str(destination) == '-':
        return
    path = Path(destination).resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A device or a pipe is not opened twice.
        if path.is_file() or path.is_dir():
            path.open('a').close()
        if _is_replaceable(path):
            _partial(path).touch()
            _partial(path).unlink()
    except OSError as error:
        raise InputError(
            f'--json {destination} cannot be written ({error.strerror}): give a file in a folder '
            'that can, or - for standard output'
        ) from error


def write_json(destination: str | Path | None, values: dict[str, Any]) -> None:
    """Write `values` to a file, atomically, to standard output (`-`), or nowhere (None)."""
    if not destination:
        return
    # Lists of numbers stay on one line. JSON strings contain no line breaks.
    text = re.sub(
        r'\[\n[^][{}"]*\]',
        lambda numbers: re.sub(r'\n\s*', '', numbers[0]).replace(',', ', '),
        json.dumps(values, indent=2, allow_nan=False),
    )
    if str(destination) == '-':
        print(text)
        return
    path = Path(destination).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    if _is_replaceable(path):
        with atomic_write(path) as partial:
            partial.write_text(text + '\n', encoding='utf-8')
    else:
        path.write_text(text + '\n', encoding='utf-8')


def _is_replaceable(path: Path) -> bool:
    """Whether `path` is a regular file or absent. A device or a pipe is written in place."""
    return path.is_file() or not path.exists()


def _partial(path: Path) -> Path:
    return path.with_name(f'{path.name}.{os.getpid()}.partial')
