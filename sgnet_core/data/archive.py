# SPDX-License-Identifier: Apache-2.0
"""Reads files of a ZIP archive or a folder one by one, without unpacking the archive.

Everything here raises `DataError` if a file is missing, cut off or damaged.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from sgnet_core.errors import DataError, first_line


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
        try:
            return (self.path / name).read_bytes() if self._zip is None else self._zip.read(name)
        except Exception as error:  # zipfile raises the errors of every decompressor
            raise DataError(
                f'{self.path}: {name} cannot be read ({first_line(error)}); get it again'
            ) from error

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
        copy = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            with self._zip.open(name) as file:
                shutil.copyfileobj(file, copy, 2**20)
        except zipfile.BadZipFile as error:
            raise DataError(f'{self.path}: {name} is damaged ({error}); get it again') from error
        return copy


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise DataError(f'{path}: no such file or folder') from error
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f'{path}: not a ZIP archive, or cut off ({first_line(error)}); get it again'
        ) from error


def _names_in_folder(path: Path) -> Iterator[str]:
    for folder, _, files in os.walk(path):
        for file in files:
            yield Path(folder, file).relative_to(path).as_posix()


def _names_in_zip(path: Path, archive: zipfile.ZipFile) -> Iterator[str]:
    for member in archive.infolist():
        name = PurePosixPath(member.filename.replace('\\', '/'))
        # Harmless, as nothing is unpacked, but the published archive has none.
        if name.is_absolute() or '..' in name.parts or stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(
                f'{path}: {member.filename!r} is a link or lies outside the archive; '
                'this is not the published file, get that one'
            )
        if not member.is_dir():
            yield member.filename
