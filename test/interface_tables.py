# SPDX-License-Identifier: Apache-2.0
"""The tables of the README that say what the node's interface is, made of its declarations.

And those of what the node says when something is wrong.

Run as a program it writes them into README.md, in the place of those that are there.
"""

import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
README = REPOSITORY / 'README.md'
TABLE = re.compile(r'(?:^\|.*\n)+', re.MULTILINE)


def tables():
    """Heading of the README -> the first table below it."""
    return {
        'Topics of the node `segmentation`': topic_table(),
        'Services': service_table(),
        'Parameters': parameter_table(),
        'When nothing appears': trouble_table(),
        'Dropped frames': drop_table(),
    }


def topic_table():
    from sgnet_ros.interface import COMPRESSED_INPUTS, INPUTS, OUTPUTS

    rows = [
        (f'`{topic.name}`', way, topic.type, qos_text(topic.qos), topic.content)
        for way, topics in (('in', (*INPUTS, *COMPRESSED_INPUTS)), ('out', OUTPUTS))
        for topic in topics
    ]
    return table(('topic', '', 'type', 'QoS', 'content'), rows)


def service_table():
    from sgnet_ros.interface import SERVICES

    rows = [(f'`{service.name}`', service.type, service.content) for service in SERVICES]
    return table(('service', 'type', ''), rows)


def parameter_table():
    from sgnet_ros.parameters import NODE_PARAMETERS

    rows = [
        (
            f'`{parameter.name}`' + (' **D**' if parameter.dynamic else ''),
            value_text(parameter.default),
            allowed_text(parameter),
            parameter.description,
        )
        for parameter in NODE_PARAMETERS
    ]
    return table(('parameter', 'default', 'allowed', ''), rows)


def trouble_table():
    from sgnet_ros.troubles import SENTENCES

    rows = [
        (f'`{re.sub("{(.*?)}", lambda name: name[1].upper(), trouble.sentence)}`', trouble.remedy)
        for trouble in SENTENCES
    ]
    return table(('the log says', 'why, and what to do'), rows)


def drop_table():
    from sgnet_ros.troubles import DROPS

    return table(('cause', ''), [(f'`{cause}`', meaning) for cause, meaning in DROPS.items()])


def table(head, rows):
    lines = [f'| {" | ".join(cells)} |\n'.replace('|  |', '| |') for cells in (head, *rows)]
    return ''.join([lines[0], '|---' * len(head) + '|\n', *lines[1:]])


def qos_text(qos):
    reliability = qos.reliability.name.lower().replace('_', ' ')
    latched = ', latched' if qos.durability.name == 'TRANSIENT_LOCAL' else ''
    return f'{reliability}{latched}, keep {qos.depth}'


def value_text(value):
    if isinstance(value, str):
        return f'`{value}`' if value else "`''`"
    if isinstance(value, list):
        return ' '.join(f'{number:g}' for number in value)
    return str(value).lower() if isinstance(value, bool) else f'{value:g}'


def allowed_text(parameter):
    if parameter.choices:
        return ', '.join(f'`{choice}`' for choice in parameter.choices)
    if parameter.range:
        low, high = parameter.range
        return f'{low:g} to {high:g}'
    return ''


def with_tables(text):
    """README.md as it should be."""
    for heading, made in tables().items():
        start = re.search(rf'^### {re.escape(heading)}\n', text, re.MULTILINE).end()
        text = text[:start] + TABLE.sub(lambda _, made=made: made, text[start:], count=1)
    return text


if __name__ == '__main__':
    sys.path.insert(0, str(REPOSITORY))
    README.write_text(with_tables(README.read_text(encoding='utf-8')), encoding='utf-8')
