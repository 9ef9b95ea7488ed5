# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several tests share."""

import fcntl
import os
import resource
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.labels import NYU40
from sgnet_core.types import UNLABELLED, CameraIntrinsics, RgbdFrame, Sample
from sgnet_ros.compat.distributions import localhost_only

REPOSITORY = Path(__file__).resolve().parents[1]
DOMAINS = range(1, 101)

# The suite tries the same examples in every run; `make fuzz` tries new ones and keeps failures.
settings.register_profile('suite', max_examples=50, deadline=None, derandomize=True, database=None)
settings.register_profile(
    'fuzz', max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile('suite')


def pytest_configure() -> None:
    """Ctrl-C is heard in the tests and in what they start, also where a script starts pytest in
    the background: a shell without job control has such processes ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope='session', autouse=True)
def everything_stays_on_this_machine(tmp_path_factory):
    """No test speaks to the network or fills the user's caches, whatever the user has set."""
    distribution = {'ROS_DISTRO': os.environ.get('ROS_DISTRO', '')}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in localhost_only(distribution).items():
            environment.setenv(name, value)
        environment.delenv('ROS_STATIC_PEERS', raising=False)
        environment.setenv('ORT_DISABLE_TELEMETRY', '1')
        environment.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        yield


@pytest.fixture
def ros_domain_id():
    """A ROS domain that no other test uses at the same time, of this run or another."""
    for domain in DOMAINS:
        # A file of another user could not be opened.
        name = f'sgnet_ros_test_domain_{os.getuid()}_{domain}.lock'
        try:
            lock = (Path(tempfile.gettempdir()) / name).open('w')
        except OSError:
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield domain
            return
    pytest.fail(f'all ROS domains {DOMAINS} are in use')


@pytest.fixture
def file_size_limit():
    """A context manager in which no file grows beyond a number of bytes, as on a full disk."""

    @contextmanager
    def limited(size):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited


@pytest.fixture(scope='session')
def research_data() -> Path:
    """The folder of research data sets, which cannot be part of the repository."""
    folder = Path(os.environ.get('SGNET_TEST_DATA') or REPOSITORY / '..' / 'shared' / 'data')
    if not folder.is_dir():
        pytest.skip(f'research data not at {folder}; set SGNET_TEST_DATA to their folder')
    return folder.resolve()


@pytest.fixture
def tiny_samples() -> list[Sample]:
    """Five 36x24 frames of noise with depth holes, NYU40 labels and poses; ids '0' to '4'."""
    rng = np.random.default_rng(7)
    camera = CameraIntrinsics(width=36, height=24, fx=30.5, fy=31.25, cx=17.1, cy=12.9)
    samples = []
    for index in range(5):
        # Whole millimetres, so that a 16-bit PNG holds them exactly.
        depth_m = rng.integers(500, 6000, camera.size).astype(np.float32) * np.float32(0.001)
        depth_m[rng.random(camera.size) < 0.2] = np.nan
        labels = rng.integers(0, 40, camera.size).astype(np.uint8)
        labels[rng.random(camera.size) < 0.1] = UNLABELLED
        pose = np.eye(4)
        pose[:3, 3] = rng.normal(size=3)
        rgb = rng.integers(0, 256, (*camera.size, 3)).astype(np.uint8)
        samples.append(Sample(str(index), RgbdFrame(rgb, depth_m, camera), labels, pose))
    return samples


@pytest.fixture
def tiny_dataset(tmp_path, tiny_samples) -> FolderDataset:
    """`tiny_samples` as a folder data set without loss, with splits `fit` (0 1 2), `val` (3 4)."""
    root = tmp_path / 'tiny_dataset'
    camera = tiny_samples[0].frame.intrinsics
    with FolderWriter(
        root, 'tiny', camera, NYU40.class_names, 30.0, with_pose=True, image_suffix='.png'
    ) as writer:
        for sample in tiny_samples:
            writer.write(sample)
        writer.write_split('fit', ['0', '1', '2'])
        writer.write_split('val', ['3', '4'])
    return FolderDataset(root)
