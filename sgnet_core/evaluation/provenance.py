# SPDX-License-Identifier: Apache-2.0
"""Who measured what with what: enough to get the metrics of an evaluation again."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sgnet_core.checkpoint.checkpoint import DEFAULT_CHECKPOINT
from sgnet_core.runtime.environment import describe


def provenance(
    command_line: str,
    checkpoint: str | Path | None,
    network: str,
    device: str,
    data: dict[str, Any],
) -> dict[str, Any]:
    """For JSON.

    Args:
        command_line: as `cli.run_command` gives it to a command.
        checkpoint: the file; None or '' is the one that ships.
        network, device: `description` and `device` of the segmenter made of it.
        data: what it was run on, for example `name`, `split`.
    """
    file = Path(checkpoint or DEFAULT_CHECKPOINT)
    machine = describe(device)
    return {
        'command': command_line,
        'time': datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        'commit': commit(Path(__file__).parent),
        'checkpoint': {
            'network': network,
            'file': file.name,
            'sha256': hashlib.sha256(file.read_bytes()).hexdigest(),
        },
        'data': data,
        'machine': {
            'device': machine['device'],
            'cpu': machine['cpu'],
            'threads': machine['threads'],
            'python': machine['python'],
            **{name: version for name, version in machine['versions'].items() if version},
        },
    }


def commit(package: Path) -> str | None:
    """Of the checkout that holds a package folder, and whether it was changed since; None where
    there is none, as when the package is installed."""
    try:
        top, head = _git(package, 'rev-parse', '--show-toplevel', 'HEAD').splitlines()
        # Installed somewhere below another project, that project's commit says nothing.
        if Path(top) != package.resolve().parent:
            return None
        changed = _git(package.parent, 'status', '--porcelain', '--untracked-files=no')
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return f'{head}, changed since' if changed else head


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ['git', '-C', str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    ).stdout
