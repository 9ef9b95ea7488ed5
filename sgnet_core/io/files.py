# SPDX-License-Identifier: Apache-2.0
"""Files and folders that appear whole or not at all, and JSON files.

A file or folder is written in a new private folder beside its final name and then moved there. A
lock marks the private folder as in use: folders that killed processes left are not locked, and the
next process that writes there removes them. Links are replaced, not followed.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from sgnet_core.errors import InputError, WriteError

_PREFIX, _SUFFIX = '.sgnet-', '.partial'
_UNLOCKED_S = 1.0
"""A folder this new may belong to a process that has not locked it yet."""


def write_file(path: Path, content: bytes | memoryview | str, durable: bool = False) -> None:
    """Write a file atomically, text as UTF-8, and create its folder; see `atomic_write`."""
    data = content.encode() if isinstance(content, str) else content
    with atomic_write(path, durable) as partial, write_errors(path):
        partial.write_bytes(data)


@contextmanager
def atomic_write(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a path for a file or folder; what the block creates there replaces `path`.

    An error in the block leaves `path` as it is. Of folders, only an empty one is replaced. One
    that cannot be replaced is yielded itself: a mount point, the current folder, a link to a
    folder, and a folder in one that is not writable.

    Args:
        durable: make the content survive a power failure, once `path` exists.

    Raises:
        WriteError: the disk is full, `path` is a folder with files, or cannot be written to.
    """
    if path.is_dir() and _stays(path):
        yield path
        return
    with ExitStack() as stack:
        with write_errors(path):
            folder = stack.enter_context(_private_folder(path.parent))
        partial = folder / path.name
        try:
            yield partial
        except WriteError as error:
            if not error.path.is_relative_to(partial):
                raise
            final = path / error.path.relative_to(partial)
            raise WriteError(final, error.cause) from error.cause
        if not partial.exists():
            return
        with write_errors(path):
            if durable:
                for part in (*partial.rglob('*'), partial):
                    _sync(part)
            partial.replace(path)
            if durable:
                _sync(path.parent)


def check_new_folder(path: Path) -> None:
    """Raise InputError unless `path` is a new name or an empty folder."""
    if path.is_dir():
        _remove_leftovers(path)
    if any(path.iterdir()) if path.is_dir() else os.path.lexists(path):
        raise InputError(f'{path}: not an empty folder; delete it or choose another one')


def _stays(folder: Path) -> bool:
    """Whether another folder cannot take the place of this one."""
    place = folder.resolve()
    in_use = folder.is_symlink() or folder.is_mount() or place == Path.cwd()
    return in_use or not os.access(place.parent, os.W_OK)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Raise an OSError of the block as WriteError for `path`."""
    try:
        yield
    except OSError as error:
        raise WriteError(path, error) from error


def no_follow(path: str, flags: int) -> int:
    """The `opener` of `open` for files that grow, such as logs: a link is an error."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def check_json_destination(destination: str | Path | None) -> None:
    """Raise InputError before a long run if `write_json` cannot write to `destination`."""
    if destination is None or str(destination) == '-' or _is_stream(Path(destination)):
        return
    path = Path(destination)
    try:
        if path.is_file() or path.is_dir():
            path.open('a').close()
        with _private_folder(path.parent):
            pass
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
    path = Path(destination)
    if str(destination) == '-':
        print(text)
    elif _is_stream(path):
        with write_errors(path):
            path.write_text(text + '\n', encoding='utf-8')
    else:
        write_file(path, text + '\n')


def _is_stream(path: Path) -> bool:
    """Whether `path` is a device, a pipe, or an open file such as /dev/stdout."""
    parent = path.absolute().parent.resolve()
    in_place = parent == Path('/dev') or parent.is_relative_to('/proc') or not path.is_file()
    return in_place and path.exists() and not path.is_dir()


@contextmanager
def _private_folder(parent: Path) -> Iterator[Path]:
    """A new locked folder in `parent` that only this user can open; removed at the end."""
    parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(parent)
    folder = Path(tempfile.mkdtemp(_SUFFIX, _PREFIX, parent))
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some file systems have no locks: leftovers stay there.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _remove_leftovers(parent: Path) -> None:
    """Remove the private folders of killed processes, once for each `parent` and process."""
    for leftover in parent.glob(f'{_PREFIX}*{_SUFFIX}'):
        with suppress(OSError), ExitStack() as stack:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            descriptor = os.open(leftover, flags)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_mtime < time.time() - _UNLOCKED_S:
                shutil.rmtree(leftover, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
