# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 adapter of sgnet_core: messages, time synchronisation, node, bags."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> str:
    if name == '__version__':
        from sgnet_core.version import version

        return version()
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
