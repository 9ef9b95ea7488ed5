# SPDX-License-Identifier: Apache-2.0
"""Reads, checks and writes `dataset.yaml`, which describes a folder of RGB-D frames.

    name: kitchen                     # optional; default: the name of the folder
    image: image/{id}.jpg             # pattern, relative to the folder
    depth: depth/{id}.png             # 16-bit PNG
    label: label/{id}.png             # optional, 8- or 16-bit PNG of class numbers
    pose: pose/{id}.txt               # optional, 4x4 camera-to-world
    depth_scale: 0.001                # metres per unit
    depth_invalid: [0]                # optional, raw values without a measurement; default [0]
    intrinsics: {width: 640, height: 480, fx: 525.0, fy: 525.0, cx: 319.5, cy: 239.5}
    label_offset: 1                   # class = value - offset; below 0: unlabelled; default 0
    classes: classes.txt              # one name per line; with label_offset 1, line 0 is "void"
    rate_hz: 30                       # optional, for sequences
    splits: {fit: fit.txt, val: val.txt}   # optional, files with one id per line

`intrinsics: intrinsics/{id}.txt` names a file with the 3x3 matrix of each frame; frames may then
differ in size.

Readers raise `DataError` with the file name if a file is missing, unreadable or invalid.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sgnet_core.errors import DataError, InputError, reject_unknown_keys
from sgnet_core.geometry.plausibility import check_camera
from sgnet_core.io import text_files
from sgnet_core.io.files import write_file
from sgnet_core.io.paths import inside
from sgnet_core.labels import label_set_of
from sgnet_core.types import CameraIntrinsics

DATASET_FILE = 'dataset.yaml'
VOID = 'void'
MAX_LABEL = 2**16 - 1
"""Labels have at most 16 bits."""

_EXAMPLES = {
    'image': 'image/{id}.jpg',
    'depth': 'depth/{id}.png',
    'depth_scale': '0.001',
    'intrinsics': '{width: 640, height: 480, fx: 525.0, fy: 525.0, cx: 319.5, cy: 239.5}',
}
"""Required keys, with a line to copy."""


@dataclass(frozen=True)
class DatasetConfig:
    """The content of a `dataset.yaml`; DataError if the format does not allow a value."""

    name: str
    image: str
    depth: str
    depth_scale: float
    intrinsics: CameraIntrinsics | str
    depth_invalid: tuple[int, ...] = (0,)
    label: str | None = None
    label_offset: int = 0
    classes: str | None = None
    pose: str | None = None
    rate_hz: float | None = None
    splits: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in self.kinds:
            pattern = getattr(self, key)
            if '{id}' not in pattern:
                raise DataError(
                    f'{key}: {pattern!r} lacks {{id}}; write for example {key}/{{id}}.png'
                )
            _check_inside(key, pattern)
        for key, file in {'classes': self.classes, **self.splits}.items():
            if file is not None:
                _check_inside(key, file)
        if not (math.isfinite(self.depth_scale) and self.depth_scale > 0):
            raise DataError(
                f'depth_scale: {self.depth_scale} must be positive, in metres per unit; '
                'millimetres are 0.001'
            )
        if self.rate_hz is not None and not 1e-6 <= self.rate_hz <= 1e6:
            raise DataError(
                f'rate_hz: {self.rate_hz} must be from 1.0e-6 to 1.0e+6; leave it out if unknown'
            )
        if not 0 <= self.label_offset <= MAX_LABEL:
            raise DataError(f'label_offset: {self.label_offset} must be from 0 to {MAX_LABEL}')
        if self.label is not None and self.classes is None:
            raise DataError('label without classes; add a file of names, `classes: classes.txt`')

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of files per frame: `image`, `depth`, perhaps `label`, `pose`, `intrinsics`."""
        kinds = ('image', 'depth', 'label', 'pose', 'intrinsics')
        return tuple(kind for kind in kinds if isinstance(getattr(self, kind), str))

    def file_of(self, kind: str, sample_id: str) -> str:
        """The path of one file of a frame, relative to the folder; DataError if it leaves it."""
        name = getattr(self, kind).replace('{id}', sample_id)
        inside(Path(), name)
        return name


def read_dataset_config(root: Path) -> DatasetConfig:
    """Read `root/dataset.yaml`."""
    path = root / DATASET_FILE
    if not path.is_file():
        what = 'no such file' if root.is_dir() else 'no such folder'
        raise DataError(f'{path}: {what}; give the folder of a dataset, which holds this file')
    values = text_files.read_yaml(path, DataError)
    try:
        if not isinstance(values, dict):
            raise DataError(f'must hold `key: value` lines, got {type(values).__name__}')
        return _config_from_values(values, default_name=root.resolve().name)
    except InputError as error:
        raise DataError(f'{path}: {error}') from error


def write_dataset_config(root: Path, config: DatasetConfig) -> None:
    """Write `root/dataset.yaml` atomically."""
    values = {key: value for key, value in asdict(config).items() if value not in (None, {})}
    values['depth_invalid'] = list(config.depth_invalid)
    # Patterns are plain text: only lists and maps of one level go on one line.
    text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=200)
    write_file(root / DATASET_FILE, text)


def read_class_names(path: Path, label_offset: int) -> tuple[str, ...]:
    """Class names in the order of their ids, without the first `label_offset` lines ("void")."""
    names = [line.strip() for line in read_text(path).splitlines()]
    while names and not names[-1]:
        names.pop()
    if label_offset and (not names or names[0].lower() != VOID):
        first = names[0] if names else ''
        raise DataError(
            f'{path}: the first line is {first!r}, but with label_offset {label_offset} it must '
            f'be {VOID!r}; add that line, or set label_offset: 0 if file value 0 is a class'
        )
    try:
        return label_set_of(names[label_offset:]).class_names
    except InputError as error:
        raise DataError(f'{path}: {error}') from error


def read_split(path: Path) -> tuple[str, ...]:
    """The ids of a split file, one per line, in file order."""
    ids: dict[str, None] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not (sample_id := line.strip()):
            continue
        if sample_id in ids:
            raise DataError(f'{path}: id {sample_id!r} is listed twice; list every frame once')
        _check_inside(f'{path}: line {number}', sample_id)
        ids[sample_id] = None
    if not ids:
        raise DataError(f'{path}: the split is empty; write one id a line')
    return tuple(ids)


def intrinsics_from_text(text: str, size: tuple[int, int], name: Path | str) -> CameraIntrinsics:
    """The camera of an image of (height, width) from nine numbers, `fx 0 cx  0 fy cy  0 0 1`.

    Errors begin with `name`.
    """
    remedy = 'write `fx 0 cx`, `0 fy cy`, `0 0 1`'
    try:
        matrix = np.array(text.split(), np.float64).reshape(3, 3)
    except ValueError as error:
        words = len(text.split())
        raise DataError(f'{name}: not a 3x3 matrix ({words} words); {remedy}') from error
    (fx, skew, cx), (zero, fy, cy), last = matrix.tolist()
    if skew or zero or last != [0, 0, 1]:
        raise DataError(f'{name}: {matrix.tolist()} is not a pinhole camera; {remedy}')
    try:
        return check_camera(CameraIntrinsics(size[1], size[0], fx, fy, cx, cy))
    except InputError as error:
        raise DataError(f'{name}: {error}') from error


def intrinsics_to_text(camera: CameraIntrinsics) -> str:
    """The matrix in three lines, which `intrinsics_from_text` reads back exactly."""
    return f'{camera.fx!r} 0 {camera.cx!r}\n0 {camera.fy!r} {camera.cy!r}\n0 0 1\n'


def read_text(path: Path) -> str:
    """The UTF-8 text of a file of the dataset."""
    if not path.is_file():  # reading a pipe would not end
        raise DataError(f'{path}: no such file; restore it, or correct {DATASET_FILE}')
    return text_files.read_text(path, DataError)


def _check_inside(where: str, name: str) -> None:
    try:
        inside(Path(), name)
    except DataError as error:
        raise DataError(f'{where}: {error}') from error


def _config_from_values(values: dict[Any, Any], default_name: str) -> DatasetConfig:
    reject_unknown_keys(values, [entry.name for entry in fields(DatasetConfig)], error=DataError)
    # `key:` without a value is None and counts as absent.
    given = {key: value for key, value in values.items() if value is not None}
    for key, example in _EXAMPLES.items():
        if key not in given:
            raise DataError(f'key {key!r} is missing; add a line like `{key}: {example}`')
    converters = {
        'depth_scale': _number,
        'rate_hz': _number,
        'label_offset': _integer,
        'depth_invalid': _integers,
        'intrinsics': _intrinsics,
        'splits': _splits,
    }
    converted = {key: converters.get(key, _text)(key, value) for key, value in given.items()}
    return DatasetConfig(**{'name': default_name} | converted)


def _text(key: str, value: Any) -> str:
    if isinstance(value, dict | list):
        raise DataError(f'{key}: {value!r} must be text; put quotes around it')
    return str(value)


def _number(key: str, value: Any) -> float:
    # PyYAML reads 1e-3 as text: YAML 1.1 requires 1.0e-3.
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass
    raise DataError(f'{key}: {value!r} must be a number, like 0.001 or 30')


def _integer(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f'{key}: {value!r} must be a whole number')
    return value


def _integers(key: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise DataError(f'{key}: {value!r} must be a list of whole numbers, like [0, 65535]')
    return tuple(_integer(key, entry) for entry in value)


def _intrinsics(key: str, value: Any) -> CameraIntrinsics | str:
    if isinstance(value, str) and '{id}' in value:
        return value
    if not isinstance(value, dict):
        raise DataError(
            f'{key}: {value!r} must look like {_EXAMPLES[key]}, or like intrinsics/{{id}}.txt'
        )
    converters = dict.fromkeys(('width', 'height'), _integer)
    converters |= dict.fromkeys(('fx', 'fy', 'cx', 'cy'), _number)
    reject_unknown_keys(value, converters, where=key, error=DataError)
    for name in converters:
        if value.get(name) is None:
            raise DataError(f'{key}: {name!r} is missing; it must look like {_EXAMPLES[key]}')
    values = {k: convert(k, value[k]) for k, convert in converters.items()}
    return check_camera(CameraIntrinsics(**values))


def _splits(key: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise DataError(f'{key}: {value!r} must look like {{fit: fit.txt, val: val.txt}}')
    return {str(name): _text(f'{key}: {name}', file) for name, file in value.items()}
