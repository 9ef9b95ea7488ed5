# SPDX-License-Identifier: Apache-2.0
"""Text, YAML and JSON with any content: a value, or one line that names file and place."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sgnet_core.errors import ConfigError, DataError
from sgnet_core.io.text_files import (
    MAX_YAML_BYTES,
    parse_json,
    parse_yaml,
    read_json,
    read_text,
    read_yaml,
)

ALIASES = 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n' + '\n'.join(
    f'a{n}: &a{n} [{", ".join([f"*a{n - 1}"] * 9)}]' for n in range(1, 12)
)
MERGES = 'a0: &a0 {x: 1}\n' + '\n'.join(
    f'a{n}: &a{n} {{<<: [{", ".join([f"*a{n - 1}"] * 9)}]}}' for n in range(1, 12)
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a: 1\nb: 2001-99-99', "line 2: '2001-99-99' is not a valid timestamp"),
        ('a: !!int x', "line 1: 'x' is not a valid int"),
        ('a: !!bool x', "line 1: 'x' is not a valid bool"),
        ('a: !!timestamp x', "line 1: 'x' is not a valid timestamp"),
        ('a: ' + '9' * 5000, 'is not a valid int'),
        ('a: 0x' + 'f' * 5000, 'is not a valid int'),
        ('a: 1' + ':59' * 3000, 'is not a valid int'),
        (f'a: {10**30}', 'is not a valid int of 64 bits'),
        ('a: "\\ud800"', 'is not a valid str'),
        ('[' * 600, 'nested too deeply'),
        ('&a [*a]', 'more than 20000 values'),
        (ALIASES, 'more than 20000 values'),
        (MERGES, 'more than 20000 values'),
        ('a: 1\n\na: 2', "line 3: the key 'a' is repeated"),
        ('a: \0', 'special characters are not allowed'),
        ('a: !!python/object:os.system x', 'could not determine a constructor'),
    ],
)
def test_yaml_that_is_refused_is_named(text, message):
    with pytest.raises(DataError) as caught:
        parse_yaml(text, 'f.yaml', DataError)
    assert str(caught.value).startswith('f.yaml: not YAML: ')
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"a": NaN}', 'NaN is not a finite number'),
        ('[1e999]', '1e999 is not a finite number'),
        (f'[{"9" * 5000}]', 'beyond 64 bits'),
        ('["\\uD800"]', 'surrogates not allowed'),
        ('[' * 100_000, 'recursion'),
        ('[' * 100 + ']' * 100, 'nested too deeply'),
        ('{"a": 1', 'line 1 column 8'),
    ],
)
def test_json_that_is_refused_is_named(text, message):
    with pytest.raises(ConfigError, match=r'^f\.json: not valid JSON: ') as caught:
        parse_json(text, 'f.json')
    assert message in str(caught.value)


def test_files_that_are_no_text_are_named(tmp_path):
    path = tmp_path / 'f.yaml'
    path.write_bytes(b'a: 1\nb: \xff')
    with pytest.raises(ConfigError, match=r'f\.yaml: line 2: not UTF-8 text'):
        read_yaml(path)
    path.write_text('a: 1' + '#' * MAX_YAML_BYTES)
    with pytest.raises(ConfigError, match=r'f\.yaml: larger than 65536 bytes'):
        read_yaml(path)
    for missing in (tmp_path / 'none', tmp_path, tmp_path / 'a\0b', tmp_path / ('x' * 300)):
        with pytest.raises(DataError, match='cannot be read: '):
            read_text(missing, DataError)


def test_merged_keys_of_yaml_may_be_replaced():
    text = 'a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 4}'
    assert parse_yaml(text, 'f')['c'] == {'x': 3, 'y': 4}


@given(VALUES)
def test_values_survive(value):
    assert parse_json(json.dumps(value), 'f') == value
    assert parse_yaml(yaml.safe_dump(value), 'f') == value


@given(st.data(), st.binary(max_size=20))
def test_damage_is_one_line(tmp_path_factory, data, piece):
    """Bytes replaced anywhere in YAML and JSON, and tokens that YAML gives a meaning."""
    whole = b'name: tiny\nscale: 0.001\nsize: [1, 2]\nsplits: {fit: a, val: "b"}\n'
    if data.draw(st.booleans()):
        tags = st.sampled_from(['!!int ', '!!float ', '&a ', '*a', '<<: ', '2001-1-99', '0x', '1:'])
        piece = ''.join(data.draw(st.lists(tags, max_size=5))).encode()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    path = tmp_path_factory.getbasetemp() / 'damaged'
    path.write_bytes(whole[:start] + piece + whole[end:])
    for read in (read_yaml, read_json):
        try:
            read(path)
        except ConfigError as error:
            assert str(path) in str(error) and '\n' not in str(error)
