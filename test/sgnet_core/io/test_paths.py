# SPDX-License-Identifier: Apache-2.0
"""Names from files never lead outside their folder."""

import shutil
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgnet_core.cli.runner import run_command
from sgnet_core.data.dataset_config import read_dataset_config
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.errors import DataError
from sgnet_core.io.paths import inside

NAMES = st.lists(st.sampled_from(['a', '..', '.', '', '\0', 'x' * 256, 'é']) | st.text(max_size=3))


@given(NAMES.map('/'.join))
def test_a_name_leads_inside_or_is_refused(name):
    root = Path('/root/of/names')
    try:
        path = inside(root, name)
    except DataError:
        return
    assert '..' not in PurePosixPath(name).parts
    assert path.is_relative_to(root) and path != root


@pytest.mark.parametrize('name', ['../a', 'a/../../b', '/a', '', '.', 'a\0', 'a/..', 'b' * 256])
def test_names_of_other_places_are_refused(name):
    with pytest.raises(DataError, match=r'outside its folder|too long'):
        inside(Path('x'), name)


def test_links_are_followed_to_read_and_not_to_write(tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'link').symlink_to(tmp_path / 'elsewhere')
    assert inside(tmp_path / 'out', 'link/a.png').parent.is_dir()
    with pytest.raises(DataError, match='remove the link'):
        inside(tmp_path / 'out', 'link/a.png', writing=True)
    assert inside(tmp_path / 'new', 'a/b.png', writing=True) == tmp_path / 'new' / 'a' / 'b.png'


@pytest.mark.parametrize('command', ['predict', 'encode_depth'])
def test_commands_write_no_id_outside_of_out(tiny_dataset, tmp_path, capsys, command):
    root = tiny_dataset.root
    for kind in ('image', 'depth', 'label', 'pose'):
        for file in (root / kind).glob('3.*'):
            shutil.copy(file, root / f'escaped{file.suffix}')
    (root / 'split_val.txt').write_text('4\n../escaped\n')
    before = set(tmp_path.rglob('*'))
    options = ['--split', 'val', '--out', str(tmp_path / 'a' / 'out')]
    source = ['xyz', str(root)] if command == 'encode_depth' else ['--data', str(root)]
    assert run_command('sgnet_core', command, [*source, *options]) == 2
    error = capsys.readouterr().err
    assert "split_val.txt: line 2: '../escaped' leads outside its folder" in error
    assert set(tmp_path.rglob('*')) == before


@pytest.mark.parametrize(
    'line', ['image: ../{id}.png', 'depth: "{id}/../../{id}.png"', 'classes: /etc/hostname']
)
def test_patterns_and_files_of_a_dataset_stay_inside(tiny_dataset, line):
    file = tiny_dataset.root / 'dataset.yaml'
    key = line.partition(':')[0]
    kept = [old for old in file.read_text().splitlines() if not old.startswith(f'{key}:')]
    file.write_text('\n'.join([*kept, line]))
    with pytest.raises(DataError, match=rf'dataset\.yaml: {key}: .* leads outside its folder'):
        read_dataset_config(tiny_dataset.root)


def test_ids_given_by_a_program_stay_inside(tiny_dataset):
    with pytest.raises(DataError, match='outside its folder'):
        FolderDataset(tiny_dataset.root, ids=['../x'])
