# SPDX-License-Identifier: Apache-2.0
"""Reads files of a ZIP archive or a folder one by one, without unpacking the archive.

Everything here raises `DataError` if a file is missing, cut off or damaged.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from sgnet_core.errors import DataError, first_line
from sgnet_core.io.paths import inside

MAX_READ_BYTES = 2**26
"""Size of a file that is read into memory; the largest of the datasets has a few MB."""
MAX_COPIED_BYTES = 2**26
MAX_COPIED_RATIO = 100
"""A larger file is copied from a ZIP archive only up to this ratio of compression."""


class Archive:
    """The files of an archive by name: relative, with slashes, without `..`.

    Attributes:
        path: the archive or folder.
        names: sorted names of all files, without those that macOS adds.
    """

    def __init__(self, path: Path) -> None:
        """Open it and list its files; DataError if it names a file outside itself."""
        self.path = path
        self._zip = None if path.is_dir() else _open_zip(path)
        names = _names_in_folder(path) if self._zip is None else _names_in_zip(path, self._zip)
        names = (name for name in names if not PurePosixPath(name).name.startswith('.'))
        self.names = tuple(sorted(name for name in names if not name.startswith('__MACOSX/')))

    def read(self, name: str) -> bytes:
        """The content of a file."""
        with self._open(name) as file:
            content = file.read(MAX_READ_BYTES + 1)
        if len(content) > MAX_READ_BYTES:
            raise DataError(f'{self.path}: {name} is larger than {MAX_READ_BYTES} bytes; remove it')
        return content

    def find(self, file_name: str) -> str | None:
        """The first file with this name in any folder, or None."""
        return next((name for name in self.names if PurePosixPath(name).name == file_name), None)

    def open_seekable(self, name: str) -> Path | BinaryIO:
        """A file for a reader that seeks.

        A file of a ZIP archive is copied to an anonymous temporary file (in TMPDIR), which the
        system removes when the program ends.
        """
        if self._zip is None:
            return self.path / name
        entry = self._zip.getinfo(name)
        if entry.file_size > max(MAX_COPIED_BYTES, MAX_COPIED_RATIO * entry.compress_size):
            raise DataError(f'{self.path}: {name} would unpack to {entry.file_size} bytes')
        copy = tempfile.TemporaryFile()  # noqa: SIM115
        with self._open(name) as file:
            shutil.copyfileobj(file, copy, 2**20)
        return copy

    @contextmanager
    def _open(self, name: str) -> Iterator[BinaryIO]:
        try:
            opened = (self.path / name).open('rb') if self._zip is None else self._zip.open(name)
            with opened as file:
                yield file
        except Exception as error:  # zipfile raises the errors of every decompressor
            if getattr(error, 'errno', None) == errno.ENOSPC:
                raise
            raise DataError(
                f'{self.path}: {name} cannot be read ({first_line(error)}); get it again'
            ) from error


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise DataError(f'{path}: no such file or folder') from error
    except Exception as error:  # zipfile raises many types on damaged bytes
        raise DataError(
            f'{path}: not a ZIP archive, or cut off ({first_line(error)}); get it again'
        ) from error


def _names_in_folder(path: Path) -> Iterator[str]:
    for folder, _, files in os.walk(path):
        # Reading a pipe would not end.
        for file in (name for name in files if Path(folder, name).is_file()):
            yield Path(folder, file).relative_to(path).as_posix()


def _names_in_zip(path: Path, archive: zipfile.ZipFile) -> Iterator[str]:
    for member in archive.infolist():
        try:
            # Harmless, as nothing is unpacked, but the published archive has none.
            inside(path, member.filename.replace('\\', '/'))
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DataError('a link')
        except DataError as error:
            raise DataError(
                f'{path}: {member.filename!r} is a link or lies outside the archive; '
                'this is not the published file, get that one'
            ) from error
        if not member.is_dir():
            yield member.filename
