# SPDX-License-Identifier: Apache-2.0
"""The version of both packages."""

import re
from pathlib import Path


def version() -> str:
    """Version in package.xml of the checkout, else of the installed distribution."""
    manifest = Path(__file__).resolve().parents[1] / 'package.xml'
    if manifest.is_file():
        return re.search('<version>(.+)</version>', manifest.read_text(encoding='utf-8'))[1]
    # Only here: it takes a third of the start of a command.
    from importlib.metadata import version as installed

    return installed('sgnet_ros')
