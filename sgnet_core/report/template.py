# SPDX-License-Identifier: Apache-2.0
"""The Jinja2 environment of the report: templates of the package, and filters for numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined


def percent(value: float | None, digits: int = 1) -> str:
    """`39.6 %` with a no-break space; a dash for None."""
    return '–' if value is None else f'{100 * value:.{digits}f}\N{NO-BREAK SPACE}%'


def percent_range(bounds: Sequence[float] | None) -> str:
    """`38.1 to 40.2 %`; empty for None."""
    return f'{100 * bounds[0]:.1f} to {percent(bounds[1])}' if bounds else ''


def points(difference: float | None) -> str:
    """`+1.2`: a difference of fractions in percentage points; a dash for None."""
    return '–' if difference is None else f'{100 * difference:+.1f}'.replace('-', '−')


def p_text(p: float | None) -> str:
    """`0.031`, `< 0.001`; a dash for None."""
    if p is None:
        return '–'
    return '< 0.001' if p < 0.001 else f'{p:.3g}'


def render(name: str, **values: object) -> str:
    """Render `templates/<name>`; text is escaped, and an undefined name is an error."""
    return _environment().get_template(name).render(values)


@cache
def _environment() -> Environment:
    folder = files(__package__) / 'templates'
    environment = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding='utf-8')),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {f.__name__: f for f in (percent, percent_range, points, p_text)}
    return environment
