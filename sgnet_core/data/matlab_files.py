# SPDX-License-Identifier: Apache-2.0
"""MATLAB files: v7 and older through SciPy, v7.3 (HDF5) through h5py.

Readers raise `DataError` if a file is missing, damaged, of another format or lacks a variable, and
`ConfigError` if the library is not installed.
"""

from __future__ import annotations

import faulthandler
import importlib
import multiprocessing
import resource
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

from sgnet_core.errors import ConfigError, DataError, SgnetError, first_line

if TYPE_CHECKING:
    import h5py

# MATLAB may store many frames in one chunk; without this cache every frame decompresses it again.
CHUNK_CACHE_BYTES = 256 * 2**20
CHUNK_CACHE_SLOTS = 100_003
MEMORY_BYTES, MEMORY_RATIO = 2**30, 256
"""Memory to read a v7 file: a constant, and for each byte of the file."""


def read_mat(name: Path | str, file: Path | BinaryIO, variables: Collection[str]) -> dict[str, Any]:
    """Variables of a v7 or older file: arrays, cells as object arrays, structs as objects.

    Dimensions of length one are dropped. Errors call the file `name`.
    """
    _installed('scipy.io')
    try:
        values = _in_child(_load, file, variables)
    except FileNotFoundError as error:
        raise DataError(f'{name}: no such file') from error
    except NotImplementedError as error:
        raise DataError(f'{name}: MATLAB v7.3, but this file is published as v7') from error
    except Exception as error:  # SciPy raises many types on a damaged file
        raise DataError(
            f'{name}: not a MATLAB file, or damaged ({first_line(error)}); get it again'
        ) from error
    _require(name, variables, values)
    return {key: values[key] for key in variables}


def open_hdf5(name: Path | str, file: Path | BinaryIO, variables: Collection[str]) -> h5py.File:
    """Open a v7.3 file; its arrays have their dimensions in reverse order."""
    h5py = _installed('h5py')
    if isinstance(file, Path) and not file.is_file():
        raise DataError(f'{name}: no such file')
    try:
        opened = h5py.File(file, 'r', rdcc_nbytes=CHUNK_CACHE_BYTES, rdcc_nslots=CHUNK_CACHE_SLOTS)
    except Exception as error:
        raise DataError(
            f'{name}: not MATLAB v7.3 (HDF5), or cut off ({first_line(error)}); get it again'
        ) from error
    try:
        with reading(name):
            _require(name, variables, opened)
    except DataError:
        opened.close()
        raise
    return opened


def _load(file: Path | BinaryIO, variables: Collection[str]) -> dict[str, Any]:
    from scipy.io import loadmat

    size = file.stat().st_size if isinstance(file, Path) else file.seek(0, 2)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    limit = used + MEMORY_BYTES + MEMORY_RATIO * size
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return loadmat(file, variable_names=variables, squeeze_me=True, struct_as_record=False)


def _in_child(function: Callable, *arguments: Any) -> Any:
    """The result of a function in a child process: damaged files make SciPy crash."""
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sender, function, *arguments), daemon=True)
    child.start()
    sender.close()
    try:
        result = receiver.recv()
    except EOFError:
        child.join()
        raise ValueError(f'SciPy ended with signal {-child.exitcode}') from None
    finally:
        child.kill()
        child.join()
        receiver.close()
    if isinstance(result, Exception):
        raise result
    return result


def _send(sender: Connection, function: Callable, *arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    faulthandler.disable()
    try:
        sender.send(function(*arguments))
    except Exception as error:
        sender.send(error)


@contextmanager
def reading(name: Path | str) -> Iterator[None]:
    """Turn what the block raises on variables of the file `name` into a DataError.

    h5py reads a variable when it is used. One of another type or shape fails anywhere.
    """
    try:
        yield
    except SgnetError:
        raise
    except Exception as error:
        raise DataError(
            f'{name}: cannot be read ({first_line(error)}); get the published file'
        ) from error


def _require(name: Path | str, variables: Collection[str], found: Collection[str]) -> None:
    missing = [variable for variable in variables if variable not in found]
    if missing:
        raise DataError(f'{name}: {", ".join(missing)} is missing; get the published file')


def _installed(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition('.')[0]
        raise ConfigError(f'{package} is not installed: pip install {package}') from error
