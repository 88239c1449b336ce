"""Read JSON of somebody else field by field: only what is expected comes through, everything else is refused.

A reader takes a value and returns what of it is passed on. Readers of records, lists and unions are made of others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Reader = Callable[[Any], Any]
SHOWN = 120
"""Characters that a message quotes of what was found."""


class Refused(ValueError):
    """Says what was expected in a file of somebody else, and what was found."""

    def __init__(self, expected: str, found: object) -> None:
        text = repr(found)
        super().__init__(f"expected {expected}, found {text if len(text) <= SHOWN else text[:SHOWN] + '...'}")


def matching(pattern: str, expected: str) -> Reader:
    """Return a reader of strings that match a pattern as a whole."""
    compiled = re.compile(pattern)

    def read(value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise Refused(expected, value)
        return value

    return read


name = matching(r"[A-Za-z_][A-Za-z0-9_]*", "a name of letters, digits and _")
"""Names of values: torch writes them into the Python code that it makes of a graph."""
weight = matching(
    r"(?!__)[A-Za-z0-9_-]+(\.(?!__)[A-Za-z0-9_-]+)*",
    "the dotted name of a weight, each part of a-z, A-Z, 0-9, _ and -, and none beginning with __ (of a network of "
    "your own, rename the parameter or buffer in its class, and export it again)",
)
_infinite = matching(r"-?Infinity|NaN", "a number")


def text(value: Any) -> str:
    """Read any string: for places where torch quotes it."""
    if not isinstance(value, str):
        raise Refused("a string", value)
    return value


def integer(value: Any) -> int:
    if type(value) is not int:
        raise Refused("a whole number", value)
    return value


def boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise Refused("true or false", value)
    return value


def real(value: Any) -> float | str:
    """Read a number; torch writes those without a value as words."""
    if type(value) in (int, float):
        return float(value)
    number: str = _infinite(value)
    return number


def maybe(reader: Reader) -> Reader:
    """Return a reader of what may be null."""
    return lambda value: None if value is None else reader(value)


def list_of(reader: Reader) -> Reader:
    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Refused("a list", value)
        return [reader(one) for one in value]

    return read


def map_of(key: Reader, reader: Reader) -> Reader:
    """Return a reader of an object whose keys are free."""

    def read(value: Any) -> dict[str, Any]:
        return {key(one): reader(content) for one, content in _object(value).items()}

    return read


def record(**fields: Reader) -> Reader:
    """Return a reader of an object with these fields. Others are left out if they are empty, and refused if not."""

    def read(value: Any) -> dict[str, Any]:
        for one, content in _object(value).items():
            if one not in fields and content:
                raise Refused(f"the fields {', '.join(fields)}", {one: content})
        return {one: reader(value[one]) for one, reader in fields.items() if one in value}

    return read


def one_of(**kinds: Reader) -> Reader:
    """Return a reader of an object that has exactly one of these fields."""

    def read(value: Any) -> dict[str, Any]:
        if len(_object(value)) != 1 or not kinds.keys() >= value.keys():
            raise Refused(f"one of {', '.join(kinds)}", value)
        ((kind, content),) = value.items()
        return {kind: kinds[kind](content)}

    return read


def left_out(instead: Any) -> Reader:
    """Return a reader that passes nothing on of what a network can do without."""
    return lambda value: instead


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused("an object", value)
    return value
