# SPDX-License-Identifier: Apache-2.0
"""Makes a data set without labels ready for labels that somebody is going to paint."""

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
from sgnet_core.errors import DataError, InputError
from sgnet_core.io.images import write_file
from sgnet_core.labels import label_set_of

CLASSES_FILE = 'classes.txt'
SPLITS = {'fit': 'fit.txt', 'val': 'val.txt'}


def read_class_list(path: Path) -> tuple[str, ...]:
    """The names of a file with one a line, whether or not "void" is the first.

    Raises:
        DataError: it cannot be read, or the names are no label set.
    """
    first = read_text(path).split('\n', 1)[0]
    names = read_class_names(path, label_offset=int(first.strip().lower() == VOID))
    try:
        return label_set_of(names).class_names
    except InputError as error:
        raise DataError(f'{path}: {error}') from error


def write_annotation_template(root: Path, class_names: Sequence[str]) -> None:
    """Add to the data set: `classes.txt`, an empty folder `label`, and empty lists `fit`, `val`.

    Raises:
        SgnetError: it cannot be written to.
    """
    write_file(root / CLASSES_FILE, ('\n'.join((VOID, *class_names)) + '\n').encode())
    (root / 'label').mkdir(exist_ok=True)
    for file in SPLITS.values():
        write_file(root / file, b'')
    config = replace(
        read_dataset_config(root),
        label='label/{id}.png',
        label_offset=1,
        classes=CLASSES_FILE,
        splits=SPLITS,
    )
    write_dataset_config(root, config)
