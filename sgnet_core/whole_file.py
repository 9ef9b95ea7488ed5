# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all, whatever interrupts their writing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes the place of `path` when all went well."""
    partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
