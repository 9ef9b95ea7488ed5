# SPDX-License-Identifier: Apache-2.0
"""Runs one command of a table: arguments, logging, errors to exit status, Ctrl-C.

A command is a module with a docstring (its help), `add_arguments(parser)` and
`run(args) -> int | None`, where `args.command_line` is what was typed. It imports torch, cv2 and
rclpy inside `run`, so that `--help` stays instant. Exit status: 0 success, 1 a run that failed,
2 wrong usage or bad input.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from types import ModuleType

from sgnet_core.errors import WRITE_REMEDIES, InputError, SgnetError, first_line
from sgnet_core.version import version

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells expect it: 128 + SIGINT."""


def main(package: str, commands: dict[str, str], argv: Sequence[str] | None = None) -> int:
    """`python -m package COMMAND ...`: `commands` maps each command to one line of help."""
    return run_program(f'python -m {package}', {package: commands}, argv)


def run_program(
    program: str, tables: dict[str, dict[str, str]], argv: Sequence[str] | None = None
) -> int:
    """`program COMMAND ...`, where `tables` maps packages to their commands."""
    package_of = {name: package for package, commands in tables.items() for name in commands}
    width = max(map(len, package_of))
    epilog = []
    for package, commands in tables.items():
        rows = [f'  {name:{width}}  {summary}' for name, summary in commands.items()]
        epilog.append('\n'.join([f'commands of {package}:', *rows]))
    parser = argparse.ArgumentParser(
        prog=program,
        usage='%(prog)s [-h] [--version] COMMAND ...',
        epilog='\n\n'.join(epilog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'sgnet_ros {version()}')
    parser.add_argument(
        'command', metavar='COMMAND', choices=package_of, help='see COMMAND --help for its options'
    )
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Only the chosen command is imported; the tables alone answer `program --help`.
    chosen = parser.parse_args(arguments[:1]).command
    return run_command(package_of[chosen], chosen, arguments[1:])


def command_parser(package: str, command: str) -> tuple[ModuleType, argparse.ArgumentParser]:
    """The module of a command and the parser of its arguments."""
    module = importlib.import_module(f'{package}.cli.{command}')
    parser = argparse.ArgumentParser(
        prog=command,
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return module, parser


def run_command(package: str, command: str, argv: Sequence[str] | None = None) -> int:
    """Run `package.cli.command` as a program and return its exit status."""
    # OpenMP threads must not spin for milliseconds after every step: on a robot others need
    # the cores. PyTorch reads this when it is imported later.
    os.environ.setdefault('GOMP_SPINCOUNT', '20000')
    module, parser = command_parser(package, command)
    # After `--ros-args` everything belongs to rclpy, which reads sys.argv itself.
    arguments = list(sys.argv[1:] if argv is None else argv)
    if '--ros-args' in arguments:
        arguments = arguments[: arguments.index('--ros-args')]
    args = parser.parse_args(arguments)
    args.command_line = shlex.join(['python', '-m', package, command, *arguments])
    logging.basicConfig(level=logging.INFO, format='%(levelname)s %(name)s: %(message)s')
    try:
        status = int(module.run(args) or 0)
        sys.stdout.flush()
        return status
    except SgnetError as error:
        print(f'{command}: {error}', file=sys.stderr)
        return error.exit_status
    except ImportError as error:
        if (error.name or '').startswith('sgnet_'):
            raise
        remedy = importlib.import_module(f'{package}.__main__').INSTALL_HINT
        print(f'{command}: {first_line(error)}: {remedy}', file=sys.stderr)
        return InputError.exit_status
    except KeyboardInterrupt:
        print(f'{command}: interrupted', file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe.
        _discard_output()
        return 0
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and 'allocate' not in str(error):
            raise
        remedy = 'reduce the image size or the batch size'
        print(f'{command}: not enough memory: {first_line(error)}; {remedy}', file=sys.stderr)
        return SgnetError.exit_status
    except OSError as error:
        # Full disk, missing folder, no permission: the message of the system names file and cause.
        remedy = WRITE_REMEDIES.get(error.errno)
        print(f'{command}: {error}{f"; {remedy}" if remedy else ""}', file=sys.stderr)
        _discard_output()
        return SgnetError.exit_status


def _discard_output() -> None:
    """Keep the flush of standard output at exit quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
