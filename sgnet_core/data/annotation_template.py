# SPDX-License-Identifier: Apache-2.0
"""Prepares a dataset without labels for annotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sgnet_core.data.dataset_config import (
    VOID,
    read_class_names,
    read_dataset_config,
    read_text,
    write_dataset_config,
)
from sgnet_core.io.files import write_file

CLASSES_FILE = 'classes.txt'
SPLITS = {'fit': 'fit.txt', 'val': 'val.txt'}


def read_class_list(path: Path) -> tuple[str, ...]:
    """Class names from a file with one name per line; a first line "void" is skipped."""
    first = read_text(path).split('\n', 1)[0]
    return read_class_names(path, label_offset=int(first.strip().lower() == VOID))


def write_annotation_template(root: Path, class_names: Sequence[str]) -> None:
    """Add `classes.txt`, an empty folder `label`, and empty splits `fit` and `val`."""
    write_file(root / CLASSES_FILE, '\n'.join((VOID, *class_names)) + '\n')
    (root / 'label').mkdir(exist_ok=True)
    for file in SPLITS.values():
        write_file(root / file, '')
    config = read_dataset_config(root)
    files = {'label': 'label/{id}.png', 'classes': CLASSES_FILE, 'splits': SPLITS}
    write_dataset_config(root, replace(config, label_offset=1, **files))
