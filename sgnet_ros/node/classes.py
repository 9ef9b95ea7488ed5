# SPDX-License-Identifier: Apache-2.0
"""The classes of the outputs: those of the network, or groups of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sgnet_core.errors import ConfigError, InputError, reject_unknown_keys
from sgnet_core.inference.class_mapping import read_class_mapping
from sgnet_core.inference.segmenter import Segmenter
from sgnet_ros.parameters import CLASS_LISTS, listed


def with_groups(segmenter: Segmenter, values: Mapping[str, Any]) -> Segmenter:
    """The network with the classes of `classes.groups`.

    Raises:
        ConfigError: the file is invalid, or a parameter names a class that does not exist.
    """
    segmenter = segmenter.mapped(None)
    if path := values['classes.groups']:
        try:
            mapping = read_class_mapping(Path(path).expanduser())
            mapping.check(segmenter.class_names)
        except InputError as error:
            raise ConfigError(f'parameter classes.groups: {error}') from error
        segmenter = segmenter.mapped(mapping)
    check_classes(values, segmenter.class_names)
    return segmenter


def check_classes(values: Mapping[str, Any], class_names: Iterable[str]) -> None:
    """Raise ConfigError if a parameter of `CLASS_LISTS` names none of these classes."""
    for name in CLASS_LISTS:
        reject_unknown_keys(listed(values[name]), class_names, f'parameter {name}', noun='class')
