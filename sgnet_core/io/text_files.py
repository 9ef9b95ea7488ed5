# SPDX-License-Identifier: Apache-2.0
"""Reads text, YAML and JSON that may hold anything.

Parsers raise many types of errors, and accept values that fail later. Every function here raises
the type `error` instead, with one line that names the file and, if known, the line of the problem.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from sgnet_core.errors import ConfigError, InputError, first_line

MAX_TEXT_BYTES = 2**25
MAX_YAML_BYTES = 2**16
"""PyYAML takes up to a second for it."""
_MAX_YAML_VALUES = 20_000
_MAX_JSON_DEPTH = 64
_MAX_DIGITS, _MAX_BITS = 64, 64
_NUMBERS = ('tag:yaml.org,2002:int', 'tag:yaml.org,2002:float')


def read_text(
    path: Path, error: type[InputError] = ConfigError, max_bytes: int = MAX_TEXT_BYTES
) -> str:
    """The UTF-8 text of a file, without a byte order mark."""
    try:
        with path.open('rb') as file:
            content = file.read(max_bytes + 1)
    except (OSError, ValueError) as problem:
        why = getattr(problem, 'strerror', problem)
        raise error(f'{path} cannot be read: {why}; correct its name or mode') from problem
    if len(content) > max_bytes:
        raise error(f'{path}: larger than {max_bytes} bytes; give a smaller file')
    try:
        return content.decode('utf-8-sig')  # Windows editors write a byte order mark
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b'\n') + 1
        raise error(f'{path}: line {line}: not UTF-8 text; save it as UTF-8') from problem


def read_yaml(path: Path, error: type[InputError] = ConfigError) -> Any:
    """The value of a YAML file; None for an empty one. See `parse_yaml`."""
    return parse_yaml(read_text(path, error, MAX_YAML_BYTES), path, error)


def read_json(path: Path, error: type[InputError] = ConfigError) -> Any:
    """The value of a JSON file. See `parse_json`."""
    return parse_json(read_text(path, error), path, error)


def parse_yaml(text: str, name: Path | str, error: type[InputError] = ConfigError) -> Any:
    """The value of a YAML text; errors begin with `name`.

    Raises:
        error: the text is not YAML, repeats a key, or holds a value that its type refuses, an
            integer beyond 64 bits, or aliases that expand to very many values.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _check_nodes(root)
        return loader.construct_document(root)
    except RecursionError as problem:
        raise error(f'{name}: not YAML: nested too deeply; correct it') from problem
    except yaml.YAMLError as problem:
        mark = getattr(problem, 'problem_mark', None)
        line = f'line {mark.line + 1}: ' if mark else ''
        what = getattr(problem, 'problem', None) or getattr(problem, 'reason', 'cannot be read')
        raise error(f'{name}: not YAML: {line}{what}; correct it') from problem


def parse_json(text: str, name: Path | str, error: type[InputError] = ConfigError) -> Any:
    """The value of a JSON text; errors begin with `name`.

    Raises:
        error: the text is not JSON, or holds NaN, an infinite number, an integer beyond 64 bits or
            half a character.
    """
    try:
        value = json.loads(text, parse_constant=_float, parse_float=_float, parse_int=_int)
        if '\\ud' in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
        _check_depth(value)
        return value
    except (ValueError, RecursionError) as problem:
        raise error(f'{name}: not valid JSON: {first_line(problem)}; correct it') from problem


class _Loader(yaml.SafeLoader):
    """Names the line of a value that its type refuses, and refuses what no setting needs."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        problem = f'{str(node.value)[:40]!r} is not a valid {node.tag.rpartition(":")[2]}'
        try:
            if node.tag in _NUMBERS and len(node.value) > _MAX_DIGITS:
                raise ValueError
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > _MAX_BITS:
                problem += f' of {_MAX_BITS} bits'
                raise ValueError
            if isinstance(value, str):
                value.encode()  # YAML can escape half a character
            return value
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # the constructors of PyYAML raise many types
            raise ConstructorError(problem=problem, problem_mark=node.start_mark) from error


def _check_nodes(root: yaml.Node) -> None:
    """Refuse repeated keys, of which PyYAML keeps the last, and too many values."""
    stack, count = [root], 0
    while stack:
        node = stack.pop()
        count += 1
        if count > _MAX_YAML_VALUES:
            problem = f'more than {_MAX_YAML_VALUES} values'
            raise ConstructorError(problem=problem, problem_mark=node.start_mark)
        if isinstance(node, yaml.SequenceNode):
            stack += node.value
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in keys:
                    problem = f'the key {key.value!r} is repeated'
                    raise ConstructorError(problem=problem, problem_mark=key.start_mark)
                keys.update([key.value] if isinstance(key, yaml.ScalarNode) else [])
                stack += key, value


def _check_depth(value: Any) -> None:
    """Refuse a value that functions of the standard library could not write again."""
    level = [value]
    for _ in range(_MAX_JSON_DEPTH):
        inner = (v.values() if isinstance(v, dict) else v for v in level if _is_container(v))
        level = [v for values in inner for v in values if _is_container(v)]
        if not level:
            return
    raise ValueError('nested too deeply')


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list)


def _int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS or (value := int(digits)).bit_length() > _MAX_BITS:
        raise ValueError(f'{digits[:20]}... is a whole number beyond {_MAX_BITS} bits')
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f'{digits[:20]} is not a finite number')
    return value
