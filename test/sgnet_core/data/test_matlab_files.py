# SPDX-License-Identifier: Apache-2.0
"""MATLAB files with changed bytes: their variables, or one line. Some make SciPy crash."""

import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sgnet_core.data.matlab_files import open_hdf5, read_mat, reading
from sgnet_core.errors import DataError

scipy_io = pytest.importorskip('scipy.io')
h5py = pytest.importorskip('h5py')


def mat() -> bytes:
    """A v7 file with the struct `a`."""
    file = io.BytesIO()
    struct = np.array([[('x', 'y')]], [('p', object), ('q', object)])
    scipy_io.savemat(file, {'a': struct})
    return file.getvalue()


@example(place=220, byte=0)  # SciPy 1.17 reads memory that is not its own
@given(place=st.integers(0, 303), byte=st.integers(0, 255))
def test_changed_bytes_are_read_or_named(place, byte):
    content = bytearray(mat())
    content[place] = byte
    try:
        read_mat('n', io.BytesIO(content), ('a',))
    except DataError as error:
        assert str(error).startswith('n: ') and '\n' not in str(error)


def test_a_crash_of_scipy_is_named():
    content = bytearray(mat())
    content[220] = 0
    with pytest.raises(DataError, match=r'n: .*ended with signal \d+\); get it again'):
        read_mat('n', io.BytesIO(content), ('a',))


@pytest.mark.parametrize(('limit', 'result'), [(2**30, '134217728'), (2**22, 'not a MATLAB file')])
def test_a_file_that_expands_too_far_is_named(limit, result, tmp_path):
    """In a new process: memory that earlier tests freed does not count as used."""
    path = tmp_path / 'n.mat'
    scipy_io.savemat(path, {'a': np.zeros(2**27, np.uint8)}, do_compression=True)
    code = f"""
import pathlib
from sgnet_core.data import matlab_files
from sgnet_core.errors import DataError
matlab_files.MEMORY_BYTES = {limit}
try:
    print(matlab_files.read_mat('n', pathlib.Path({str(path)!r}), ('a',))['a'].nbytes)
except DataError as error:
    print(error)
"""
    output = subprocess.run(
        [sys.executable, '-c', code], check=True, capture_output=True, text=True
    )
    assert result in output.stdout


@given(place=st.floats(0, 0.999), piece=st.binary(min_size=1, max_size=8))
def test_changed_bytes_of_hdf5_are_read_or_named(place, piece):
    file = io.BytesIO()
    with h5py.File(file, 'w') as new:
        new.create_dataset('a/b', data=np.arange(99), chunks=(10,), compression='gzip')
    content = bytearray(file.getvalue())
    start = int(place * len(content))
    content[start : start + len(piece)] = piece
    try:
        with open_hdf5('n', io.BytesIO(content), ('a',)) as opened, reading('n'):
            opened['a/b'][()]
    except DataError as error:
        assert str(error).startswith('n: ') and '\n' not in str(error)
