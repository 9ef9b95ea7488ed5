# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several tests share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def research_data() -> Path:
    """The folder of research data sets, which cannot be part of the repository."""
    folder = Path(os.environ.get('SGNET_TEST_DATA') or REPOSITORY / '..' / 'shared' / 'data')
    if not folder.is_dir():
        pytest.skip(f'research data not at {folder}; set SGNET_TEST_DATA to their folder')
    return folder.resolve()
