# SPDX-License-Identifier: Apache-2.0
"""Errors for users, and checks of configuration keys.

A message says what is wrong, which value was found, and what to do.
"""

from __future__ import annotations

import difflib
import errno
import logging
import math
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_logger = logging.getLogger(__name__)

_MAX_MESSAGE = 2000


class SgnetError(Exception):
    """A run that failed. Commands print its message in one line and exit with `exit_status`."""

    exit_status = 1

    def __str__(self) -> str:
        """The message on one line of limited length: names and values come from files."""
        text = super().__str__()
        if not text.isprintable():
            text = ''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        return text if len(text) <= _MAX_MESSAGE else f'{text[:1500]} ... {text[-400:]}'


class WriteError(SgnetError):
    """The file or folder `path` cannot be written because of `cause`."""

    def __init__(self, path: Path, cause: Exception) -> None:
        self.path, self.cause = path, cause
        reason = getattr(cause, 'strerror', None) or first_line(cause)
        remedy = WRITE_REMEDIES.get(getattr(cause, 'errno', None), 'choose another name or folder')
        super().__init__(f'{path}: cannot be written: {reason}; {remedy}')


class InputError(SgnetError, ValueError):
    """Invalid input: a value, a shape or a file."""

    exit_status = 2


class ConfigError(InputError):
    """A configuration file or parameter is invalid."""


class DataError(InputError):
    """A dataset or bag is incomplete or invalid."""


class CheckpointError(InputError):
    """A checkpoint is missing, damaged or incompatible."""


WRITE_REMEDIES = {
    errno.ENOSPC: 'free disk space',
    errno.EDQUOT: 'free disk space, or raise the quota',
    errno.EFBIG: 'raise the limit of the file size (ulimit -f)',
    errno.ENAMETOOLONG: 'choose a shorter name',
}
"""`errno` of a failed write -> what to do."""


def first_line(error: BaseException) -> str:
    """First line of the message of an error; the name of its type if the message is empty."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def reject_unknown_keys(
    found: Iterable[object],
    known: Iterable[str],
    where: str = '',
    error: type[InputError] = ConfigError,
    noun: str = 'key',
) -> None:
    """Raise `error` for the first key of `found` that is not in `known`.

    `where` names the section in the message, for example `intrinsics`; `noun` says what a key is.
    """
    known = list(known)
    for key in map(str, found):
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1)
        hint = f'did you mean {near[0]!r}?' if near else f'known: {", ".join(known)}'
        raise error(f'unknown {noun} {key!r}{" in " + where if where else ""}; {hint}')


def check_type(
    name: str,
    value: object,
    hint: type | types.GenericAlias,
    error: type[InputError] = ConfigError,
) -> Any:
    """`value` if it is of the type `hint`; a list as a tuple and an integer as a float if asked.

    Raises:
        error: the value has another type, or `name: value` is not finite.
    """
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        if not isinstance(value, list | tuple) or len(value) != len(kinds):
            raise error(f'{name} must be a list of {len(kinds)}, got {value!r}')
        return tuple(
            check_type(name, item, kind, error) for item, kind in zip(value, kinds, strict=True)
        )
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        remedy = ' (write 1.0e-3 instead of 1e-3)' if hint is float and type(value) is str else ''
        raise error(f'{name} must be {hint.__name__}, got {value!r}{remedy}')
    if hint is float and not math.isfinite(value):
        raise error(f'{name} must be finite, got {value!r}')
    return value


def renamed_keys(values: Mapping[str, Any], new_names: Mapping[str, str], where: str) -> dict:
    """`values` with each old key of `new_names` under its new name; a warning names both.

    Raises:
        ConfigError: `values` has a key under both names.
    """
    renamed = dict(values)
    for old, new in new_names.items():
        if old not in renamed:
            continue
        if new in renamed:
            raise ConfigError(f'{where} has both {old!r} and its new name {new!r}; remove {old!r}')
        _logger.warning('%s: %r is now called %r; the next version refuses it', where, old, new)
        renamed[new] = renamed.pop(old)
    return renamed
