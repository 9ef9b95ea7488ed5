# SPDX-License-Identifier: Apache-2.0
"""Unknown keys of a configuration file are errors that name the nearest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from sgnet_core.errors import ConfigError, InputError


def reject_unknown_keys(
    found: Iterable[object],
    known: Iterable[str],
    where: str = '',
    error: type[InputError] = ConfigError,
) -> None:
    """Raise `error` for the first key of `found` that is not in `known`.

    `where` names the section in the message, for example `intrinsics`.
    """
    known = list(known)
    for key in map(str, found):
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1)
        hint = f'did you mean {near[0]!r}?' if near else f'known keys: {", ".join(known)}'
        raise error(f'unknown key {key!r}{" in " + where if where else ""}; {hint}')
