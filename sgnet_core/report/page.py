# SPDX-License-Identifier: Apache-2.0
"""One HTML page that needs nothing beside it: no script, no font, no request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from sgnet_core.report.style import STYLE


def page(title: str, subtitle: str, sections: Iterable[str]) -> str:
    """A whole document; `sections` are HTML, empty ones are left out.

    Args:
        title, subtitle: plain text.
    """
    body = '\n'.join(section for section in sections if section)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Without it a browser asks the server of the page for a favicon.
        '<link rel="icon" href="data:,">\n'
        f'<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f'<header><h1>{escape(title)}</h1><p class="faint">{escape(subtitle)}</p></header>\n'
        f'<main>\n{body}\n</main>\n</body>\n</html>\n'
    )


def section(title: str, *parts: str, note: str = '') -> str:
    """A heading and what is below it; nothing where all `parts` are empty.

    Args:
        parts: HTML.
        note: plain text below the heading.
    """
    shown = '\n'.join(part for part in parts if part)
    if not shown:
        return ''
    explained = f'<p class="faint">{escape(note)}</p>' if note else ''
    return f'<section>\n<h2>{escape(title)}</h2>\n{explained}\n{shown}\n</section>'


def figure(picture: str, caption: str = '') -> str:
    """A picture, as HTML, and a line of plain text below it."""
    below = f'<figcaption>{escape(caption)}</figcaption>' if caption else ''
    return f'<figure>{picture}{below}</figure>'


def side_by_side(figures: Iterable[str]) -> str:
    """As many beside each other as there is room for; nothing where there is none."""
    shown = ''.join(figures)
    return f'<div class="charts">{shown}</div>' if shown else ''


def tiles(facts: Iterable[tuple[str, str, str]]) -> str:
    """Headline figures: (name, value, what to know about it), plain text."""
    return (
        '<div class="tiles">'
        + ''.join(
            f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b>'
            f'<span>{escape(note)}</span></div>'
            for name, value, note in facts
        )
        + '</div>'
    )


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], text_columns: Sequence[int] = (0,)
) -> str:
    """Rows of cells that are HTML below heads of plain text; numbers stand right."""
    styles = [' class="text"' if i in text_columns else '' for i in range(len(heads))]
    head = ''.join(
        f'<th scope="col"{style}>{escape(name)}</th>'
        for name, style in zip(heads, styles, strict=True)
    )
    body = ''.join(
        '<tr>'
        + ''.join(f'<td{style}>{cell}</td>' for cell, style in zip(row, styles, strict=True))
        + '</tr>\n'
        for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n'
        f'<tbody>{body}</tbody></table></div>'
    )


def facts(values: Mapping[str, object], code: Sequence[str] = ()) -> str:
    """Name and value, plain text, line by line; those of `code` as code. None is left out."""
    rows = ''.join(
        f'<tr><th scope="row" class="text">{escape(name)}</th>'
        f'<td{" class=code" if name in code else ""}>{escape(str(value))}</td></tr>\n'
        for name, value in values.items()
        if value is not None
    )
    return f'<table class="facts"><tbody>{rows}</tbody></table>'
