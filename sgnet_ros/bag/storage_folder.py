# SPDX-License-Identifier: Apache-2.0
"""Finds and opens the storage files of a bag, also those that must be unpacked first."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from sgnet_core.errors import SgnetError, first_line
from sgnet_ros.bag.chunked_files import McapFile, Rosbag1File
from sgnet_ros.bag.storage_files import SqliteFile, StorageFile, sqlite_size

_READERS = {'.mcap': McapFile, '.db3': SqliteFile, '.bag': Rosbag1File}
_RESERVE_BYTES = 2**30
"""Space that unpacking leaves on the disk."""
_MAX_RATIO = 1000
"""Of compression; images have less than 100."""


def plain_name(name: str) -> str:
    """The name of a storage file without the suffixes for compressed and for unfinished files."""
    return name.removesuffix('.zstd').removesuffix('.active')


def storage_paths(path: Path, listed: tuple[str, ...] = ()) -> dict[str, Path]:
    """Plain name -> file, for a storage file or a folder.

    Of a file and its compressed copy, the one in `listed` is taken. If files are listed, only those
    of the same formats are taken.
    """
    formats = {Path(plain_name(name)).suffix for name in listed} or _READERS
    paths: dict[str, Path] = {}
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        name = plain_name(file.name)
        suffix, is_chosen = Path(name).suffix, name not in paths or file.name in listed
        if suffix in formats and suffix in _READERS and is_chosen:
            paths[name] = file
    return paths


def open_file(path: Path, stack: ExitStack) -> StorageFile:
    """The open file; `stack` closes it.

    Raises:
        Exception: of any type, if nothing in the file can be read.
        SgnetError: there is no space to unpack it.
    """
    name, damage = plain_name(path.name), None
    # SQLite keeps recent rows in these files until the recorder ends.
    journals = [path.with_name(path.name + end) for end in ('-wal', '-journal')]
    journals = [journal for journal in journals if journal.is_file() and journal.stat().st_size]
    remainder = _size_of_partial_page(path) if path.suffix == '.db3' else 0
    if path.suffix == '.zstd' or journals or remainder:
        target = Path(stack.enter_context(TemporaryDirectory(prefix='sgnet_bag_'))) / name
        try:
            if path.suffix == '.zstd':
                damage = _decompress(path, target)
            else:
                for source in (path, *journals):
                    shutil.copyfile(source, target.parent / source.name)
        except OSError as error:
            raise SgnetError(
                f'{path} cannot be copied to {target.parent}: {error}; set TMPDIR'
            ) from error
        path = target
        if journals:
            with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as database:
                database.execute('PRAGMA journal_mode=DELETE')
        if path.suffix == '.db3' and (remainder := _size_of_partial_page(path)):
            # SQLite fills the page with zeros, also where it had an image.
            os.truncate(path, path.stat().st_size - remainder)
            damage = damage or 'its last page is not complete'
    file = _READERS[Path(name).suffix](path)
    stack.callback(file.close)
    file.damage = damage or file.damage
    return file


def _size_of_partial_page(path: Path) -> int:
    """Number of bytes after the last whole page of a SQLite file."""
    size, page_size, _ = sqlite_size(path)
    return size % page_size if page_size >= 512 else 0


def _decompress(path: Path, target: Path) -> str | None:
    """Write the content of `path` to `target`; returns why it is not complete, or None."""
    limit = shutil.disk_usage(target.parent).free - _RESERVE_BYTES
    limit = min(limit, _RESERVE_BYTES + _MAX_RATIO * path.stat().st_size)
    with path.open('rb') as source, target.open('wb') as out:
        content = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
        try:
            while block := content.read(2**20):
                out.write(block)
                if out.tell() > limit:
                    raise SgnetError(
                        f'{path} has more than {limit} bytes unpacked, which is implausible or too '
                        f'much for {target.parent}; set TMPDIR, or unpack it with zstd'
                    )
        except zstandard.ZstdError as error:
            return first_line(error)
    return None
