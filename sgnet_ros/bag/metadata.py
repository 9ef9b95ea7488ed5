# SPDX-License-Identifier: Apache-2.0
"""Reads metadata.yaml of a rosbag2 folder: its storage files and message counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from sgnet_core.errors import DataError, first_line
from sgnet_core.io.text_files import parse_yaml, read_text
from sgnet_ros.bag.records import BagTopic, topics_by_name

METADATA_FILE = 'metadata.yaml'
_MAX_BYTES = 2**21
"""Thousands of topics and files; PyYAML takes seconds for it."""


@dataclass(frozen=True)
class BagMetadata:
    """Names of the storage files, and the number of recorded messages, also for each topic."""

    files: tuple[str, ...]
    count: int
    topics: dict[str, BagTopic]


def read_metadata(folder: Path) -> BagMetadata:
    """The metadata of a bag; the keys in use are those of all versions from 1 to 9.

    Raises:
        DataError: the file is missing or invalid.
    """
    path = folder / METADATA_FILE
    if not path.is_file():
        raise DataError(f'{path} is missing')
    values = parse_yaml(read_text(path, DataError, _MAX_BYTES), path, DataError)
    try:
        about = values['rosbag2_bagfile_information']
        compression = about.get('compression_format') or 'zstd'
        # Before version 4, paths began with the name of the folder.
        files = tuple(PurePath(name).name for name in about['relative_file_paths'])
        count = int(about['message_count'])
        topics = topics_by_name(map(_topic, about['topics_with_message_count']))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataError(f'{path} is not valid: {first_line(error)}') from error
    if compression != 'zstd':
        raise DataError(f'{path}: compression {compression!r} is not supported; use zstd')
    return BagMetadata(files, count, topics)


def is_latched(offered_qos_profiles: Any) -> bool:
    """Whether a publisher was transient local; YAML, since version 9 in metadata.yaml a list."""
    # A bag is read without a valid QoS, too.
    return bool(re.search(r'\bdurability\W+(1|transient_local)\b', str(offered_qos_profiles)))


def _topic(entry: dict[str, Any]) -> BagTopic:
    about = entry['topic_metadata']
    latched = is_latched(about.get('offered_qos_profiles'))
    return BagTopic(str(about['name']), str(about['type']), int(entry['message_count']), latched)
