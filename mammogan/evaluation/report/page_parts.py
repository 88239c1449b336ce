"""Build the pieces of HTML that the sections of index.html consist of."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from mammogan.evaluation.bootstrap import Figure
from mammogan.evaluation.report.tables import interval_text, value_text
from mammogan.evaluation.result import Result


def head(result: Result) -> str:
    """Return the title of a column, such as '192 × 160'."""
    return escape(result.name.replace("x", " × ", 1))


def table(results: Sequence[Result], body: str) -> str:
    """Return a table with one column per result."""
    return rows_under([head(result) for result in results], body)


def rows_under(heads: Sequence[str], body: str) -> str:
    """Return a table with these column heads and the rows ``body``."""
    cells = "".join(f"<th>{text}</th>" for text in heads)
    return f'<div class="scroll"><table><thead><tr><th></th>{cells}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def cell(figure: Figure) -> str:
    """Return a figure with its interval below it."""
    if figure.value is None:
        return f'<span title="{escape(figure.reason)}">n/a</span>'
    return f'{value_text(figure)}<span class="range">{interval_text(figure)}</span>'


def figure(name: str, alternative: str, caption: str = "", kind: str = "") -> str:
    """Return a picture with a link to its file."""
    text = f"<figcaption>{caption}</figcaption>" if caption else ""
    picture = f'<a href="{escape(name)}"><img src="{escape(name)}" alt="{escape(alternative)}"></a>'
    return f'<figure class="{kind}">{picture}{text}</figure>'
