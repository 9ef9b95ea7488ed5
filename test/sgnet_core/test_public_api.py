# SPDX-License-Identifier: Apache-2.0
"""What `import sgnet_core` offers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sgnet_core
import sgnet_ros

REPOSITORY = Path(__file__).resolve().parents[2]


def test_public_names_are_loaded_when_used():
    code = """
import sys, sgnet_core
assert set(sgnet_core.__all__) <= set(dir(sgnet_core))
assert not {'torch', 'cv2', 'numpy'} & set(sys.modules)
from sgnet_core import CameraIntrinsics, RgbdFrame, SegmentationResult
assert 'torch' not in sys.modules
from sgnet_core import *
assert Segmenter.from_checkpoint and load_checkpoint
"""
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('package', [sgnet_core, sgnet_ros])
def test_version_is_that_of_the_manifest(package):
    manifest = (REPOSITORY / 'package.xml').read_text()
    assert re.search('<version>(.*)</version>', manifest)[1] == package.__version__
    with pytest.raises(AttributeError, match='no attribute'):
        _ = package.no_such_name
