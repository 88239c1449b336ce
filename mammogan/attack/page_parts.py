"""Pieces of HTML that the sections of index.html are put together from."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from mammogan.attack.intervals import Figure
from mammogan.attack.result import Result
from mammogan.attack.tables import interval_text, value_text


def head(result: Result) -> str:
    """What a column is called, such as '192 × 160'."""
    return escape(result.name.replace("x", " × ", 1))


def table(results: Sequence[Result], body: str) -> str:
    """Rows under the heads of their columns."""
    return rows_under([head(result) for result in results], body)


def rows_under(heads: Sequence[str], body: str) -> str:
    cells = "".join(f"<th>{text}</th>" for text in heads)
    return f'<div class="scroll"><table><thead><tr><th></th>{cells}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def cell(figure: Figure) -> str:
    """A figure with its interval below."""
    if figure.value is None:
        return f'<span title="{escape(figure.reason)}">n/a</span>'
    return f'{value_text(figure)}<span class="range">{interval_text(figure)}</span>'


def figure(name: str, alternative: str, caption: str = "", kind: str = "") -> str:
    """A picture beside the page, with a link to itself."""
    text = f"<figcaption>{caption}</figcaption>" if caption else ""
    picture = f'<a href="{escape(name)}"><img src="{escape(name)}" alt="{escape(alternative)}"></a>'
    return f'<figure class="{kind}">{picture}{text}</figure>'
