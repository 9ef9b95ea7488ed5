# SPDX-License-Identifier: Apache-2.0
"""MATLAB files of both kinds: v7 and older through SciPy, v7.3, which is HDF5, through h5py."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

from sgnet_core.errors import ConfigError, DataError, first_line

if TYPE_CHECKING:
    import h5py

# MATLAB may store many frames in one chunk: without room for those of a frame, every frame
# would decompress them again.
CHUNK_CACHE_BYTES = 256 * 2**20
CHUNK_CACHE_SLOTS = 100_003


def read_mat(name: Path | str, file: Path | BinaryIO, variables: Collection[str]) -> dict[str, Any]:
    """Variables of a file of v7 or older: arrays, cells as object arrays, structs as objects.

    Dimensions of length one are left out. `name` is what errors call the file.

    Raises:
        DataError: it is missing, damaged, of another kind, or lacks a variable.
        ConfigError: SciPy is not installed.
    """
    scipy_io = _installed('scipy.io')
    try:
        values = scipy_io.loadmat(
            file, variable_names=variables, squeeze_me=True, struct_as_record=False
        )
    except FileNotFoundError as error:
        raise DataError(f'{name}: no such file') from error
    except NotImplementedError as error:
        raise DataError(f'{name}: MATLAB v7.3, but this file is published as v7') from error
    except Exception as error:  # a broken byte surfaces as whatever SciPy happens to trip over
        raise DataError(
            f'{name}: no MATLAB file, or a damaged one ({first_line(error)}); get it again'
        ) from error
    _require(name, variables, values)
    return {key: values[key] for key in variables}


def open_hdf5(name: Path | str, file: Path | BinaryIO, variables: Collection[str]) -> h5py.File:
    """Open a file of v7.3; its arrays have their dimensions in reverse order.

    Raises:
        DataError: it is missing, cut off, of another kind, or lacks a variable.
        ConfigError: h5py is not installed.
    """
    h5py = _installed('h5py')
    if isinstance(file, Path):
        if not file.is_file():
            raise DataError(f'{name}: no such file')
        with file.open('rb') as stream:
            if stream.read(10) == b'MATLAB 5.0':
                raise DataError(
                    f'{name}: MATLAB v5, but this file is published as v7.3 (HDF5); get the '
                    'published one, or save it with -v7.3'
                )
    try:
        opened = h5py.File(file, 'r', rdcc_nbytes=CHUNK_CACHE_BYTES, rdcc_nslots=CHUNK_CACHE_SLOTS)
    except OSError as error:
        raise DataError(
            f'{name}: not HDF5, or cut off ({first_line(error)}); get it again'
        ) from error
    try:
        _require(name, variables, opened)
    except DataError:
        opened.close()
        raise
    return opened


def _require(name: Path | str, variables: Collection[str], found: Collection[str]) -> None:
    missing = [variable for variable in variables if variable not in found]
    if missing:
        raise DataError(f'{name}: holds no {", ".join(missing)}; get the published file')


def _installed(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition('.')[0]
        raise ConfigError(f'{package} is not installed: pip install {package}') from error
