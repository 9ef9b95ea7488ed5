# SPDX-License-Identifier: Apache-2.0
"""Tables of docs/ that are generated from the declarations of the code.

`python test/interface_tables.py` writes them into the pages.
"""

import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / 'docs'
TABLE = re.compile(r'(?:^\|.*\n)+', re.MULTILINE)


def tables():
    """(page, heading) -> function that makes the first table below that heading."""
    return {
        ('commands.md', 'Datasets, training and evaluation'): core_command_table,
        ('commands.md', 'Node and bags'): ros_command_table,
        ('node.md', 'Topics'): topic_table,
        ('node.md', 'Services'): service_table,
        ('node.md', 'Parameters'): parameter_table,
        ('troubleshooting.md', 'When nothing appears'): trouble_table,
        ('troubleshooting.md', 'Dropped frames'): drop_table,
    }


def core_command_table():
    from sgnet_core.__main__ import COMMANDS

    return command_table(COMMANDS)


def ros_command_table():
    from sgnet_ros.__main__ import COMMANDS

    return command_table(COMMANDS)


def command_table(commands):
    return table(('Command', 'Purpose'), [(f'`{name}`', text) for name, text in commands.items()])


def topic_table():
    from sgnet_ros.topics import COMPRESSED_INPUTS, INPUTS, OUTPUTS

    rows = [
        (f'`{topic.name}`', way, topic.type, qos_text(topic.qos), topic.content)
        for way, topics in (('in', (*INPUTS, *COMPRESSED_INPUTS)), ('out', OUTPUTS))
        for topic in topics
    ]
    return table(('Topic', '', 'Type', 'QoS', 'Content'), rows)


def service_table():
    from sgnet_ros.topics import SERVICES

    rows = [(f'`{service.name}`', service.type, service.content) for service in SERVICES]
    return table(('Service', 'Type', 'Effect'), rows)


def parameter_table():
    from sgnet_ros.parameters import NODE_PARAMETERS

    rows = [
        (
            f'`{parameter.name}`'
            + (' **D**' if parameter.dynamic else ' **S**' if parameter.read_only else ''),
            value_text(parameter.default),
            allowed_text(parameter),
            parameter.description,
        )
        for parameter in NODE_PARAMETERS
    ]
    return table(('Parameter', 'Default', 'Allowed', 'Meaning'), rows)


def trouble_table():
    from sgnet_ros.monitoring.messages import SENTENCES

    rows = [
        (f'`{re.sub("{(.*?)}", lambda name: name[1].upper(), trouble.sentence)}`', trouble.remedy)
        for trouble in SENTENCES
    ]
    return table(('Message', 'Cause and remedy'), rows)


def drop_table():
    from sgnet_ros.monitoring.messages import DROPS

    return table(
        ('Cause', 'Meaning'), [(f'`{cause}`', meaning) for cause, meaning in DROPS.items()]
    )


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


def below(text, heading):
    """Position in `text` behind the line of this heading, of any level."""
    return re.search(rf'^#+ {re.escape(heading)}\n', text, re.MULTILINE).end()


def with_table(text, heading, made):
    """`text` with `made` in place of the first table below `heading`."""
    start = below(text, heading)
    return text[:start] + TABLE.sub(lambda _: made, text[start:], count=1)


def main():
    for (page, heading), make in tables().items():
        path = DOCS / page
        path.write_text(with_table(path.read_text('utf-8'), heading, make()), 'utf-8')


if __name__ == '__main__':
    sys.path.insert(0, str(REPOSITORY))
    main()
