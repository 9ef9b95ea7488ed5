# SPDX-License-Identifier: Apache-2.0
"""The errors a user can meet. A message says what is wrong, what was got, and what to do."""


class SgnetError(Exception):
    """A run that failed. Commands print its message in one line and exit with `exit_status`."""

    exit_status = 1


class InputError(SgnetError, ValueError):
    """Something the user handed over is wrong: a value, a shape, a file."""

    exit_status = 2


class ConfigError(InputError):
    """A configuration file or parameter is wrong."""


class DataError(InputError):
    """A data set or bag is missing something, or holds what it should not."""


class CheckpointError(InputError):
    """A checkpoint is missing, damaged, or made for something else."""


def first_line(error: BaseException) -> str:
    """What an error of another package says, for one line of ours; its type where it is silent."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
