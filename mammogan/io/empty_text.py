"""Refuses an option that is given an empty text, as by an unset variable of the shell: it would count as not given."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from itertools import pairwise

from mammogan.errors import UserError
from mammogan.io.structure import fields


def refuse_empty_texts(options: type, words: Sequence[str]) -> None:
    """Raise UserError, which says what the option expects, if a word of the command line is an empty text."""
    option = ""
    for word in words:
        value = word
        if word.startswith("--"):
            option, equals, value = word.partition("=")
            value = value if equals else word
        if not value.strip():
            raise UserError(_refusal(option, _expected(options).get(option.replace("_", "-"), "")))


def texts_of(options: type) -> Iterator[tuple[str, str]]:
    """Yield the name of each field of a dataclass and the text under it, as one line."""
    source = ast.parse(textwrap.dedent(inspect.getsource(options))).body[0]
    for field, text in pairwise(source.body if isinstance(source, ast.ClassDef) else ()):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                yield name, " ".join(words.split())


def _expected(options: type, prefix: str = "--") -> dict[str, str]:
    """Return the first sentence about each option, by the option as it is written on the command line."""
    found: dict[str, str] = {}
    texts = dict(texts_of(options))
    for name, kind, flat in fields(options):
        option = prefix + name.replace("_", "-")
        if isinstance(kind, type) and is_dataclass(kind):
            found |= _expected(kind, prefix if flat else f"{option}.")
        elif name in texts:
            found[option] = texts[name].partition(". ")[0].rstrip(".")
    return found


def _refusal(option: str, expected: str) -> str:
    if not option:
        return "expected a value, found an empty text. Is a variable of your shell not set?"
    expects = f": {expected}" if expected else ""
    return (
        f'{option} "": expected a value, found an empty text{expects}. Give one, or leave {option} out (is a variable '
        "of your shell not set?)"
    )
