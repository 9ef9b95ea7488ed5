# SPDX-License-Identifier: Apache-2.0
"""The facts that are needed to repeat an evaluation."""

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
    """Command, commit, checkpoint, data and machine, for JSON.

    Args:
        checkpoint: path; None or '' is the bundled model.
        network, device: `description` and `device` of the segmenter.
        data: what was evaluated, for example `name`, `split`.
    """
    file = Path(checkpoint or DEFAULT_CHECKPOINT)
    machine = describe(device)
    versions = {name: version for name, version in machine['versions'].items() if version}
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
        'machine': {key: machine[key] for key in ('device', 'cpu', 'threads', 'python')} | versions,
    }


def commit(package: Path) -> str | None:
    """The commit of the checkout that holds a package folder, and whether it was changed since.

    None if the package is installed elsewhere, also below another project.
    """
    try:
        top, head = _git(package, 'rev-parse', '--show-toplevel', 'HEAD').splitlines()
        if Path(top) != package.resolve().parent:
            return None
        changed = _git(package.parent, 'status', '--porcelain', '--untracked-files=no')
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return f'{head}, changed since' if changed else head


def _git(folder: Path, *arguments: str) -> str:
    command = ['git', '-C', str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout
