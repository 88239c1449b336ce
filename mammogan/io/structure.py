"""Build options from a mapping of text, such as a settings file, and turn options into the words of a command line.

Options are frozen dataclasses. A field of type ``Flat[CadConfig]`` has its options beside the others, in a mapping as
on the command line; other dataclasses are nested mappings, or dotted keys (compute.device).
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mammogan.errors import UserError

T = TypeVar("T")
Values = dict[str, Any]
TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
LEFT_OUT = ("", "null", "~")
"""Texts that leave an option as it is."""


def keys(options: type) -> dict[str, Any]:
    """Return the type of every option by its name in a settings file; fields of a Flat field are listed with the
    others."""
    found: dict[str, Any] = {}
    for name, kind, flat in fields(options):
        found |= keys(kind) if flat else {name: kind}
    return found


def fields(options: type) -> tuple[tuple[str, Any, bool], ...]:
    """Return each field's name, its type and whether it is Flat."""
    return _fields(options)


@functools.cache
def _fields(options: Any) -> tuple[tuple[str, Any, bool], ...]:
    found, hints = [], get_type_hints(options, include_extras=True)
    for field in dataclasses.fields(options):
        marks = getattr(hints[field.name], "__metadata__", ())
        kind = hints[field.name].__origin__ if marks else hints[field.name]
        found.append((field.name, kind, any(getattr(mark, "name", None) == "" for mark in marks)))
    return tuple(found)


def merged(below: Values, above: Values) -> Values:
    """Return ``above`` over ``below``, with nested mappings merged key by key; keys are written as fields."""
    below, above = nested(below), nested(above)
    both = {key: merged(below[key], above[key]) for key in below.keys() & above.keys() if isinstance(above[key], dict)}
    return below | above | both


def nested(values: Mapping[str, Any]) -> Values:
    """Return a mapping with keys as fields are written, and dotted ones (compute.device) as nested mappings."""
    found: Values = {}
    for key, value in values.items():
        first, dot, rest = key.replace("-", "_").partition(".")
        if dot:
            value = {rest: value}
        found[first] = found.get(first, {}) | value if isinstance(value, dict) else value
    return found


def structured(base: T, values: Mapping[str, Any], where: str) -> T:
    """Return options with the values of a mapping over ``base``, checked as on the command line.

    UserError, which begins with ``where``, for an unknown key, listing the valid ones, and for a wrong value.
    """
    return _over(base, values, where, dataclasses.replace)


def structured_unchecked(base: T, values: Mapping[str, Any], where: str) -> T:
    """Return the same, but let the command line complete the options: what must fit together is not checked yet."""

    def unchecked(base: Any, **changed: Any) -> Any:
        copied = copy.copy(base)
        for name, value in changed.items():
            object.__setattr__(copied, name, value)
        return copied

    return _over(base, values, where, unchecked)


def _over(base: T, values: Mapping[str, Any], where: str, replace: Callable[..., T]) -> T:
    values, types = nested(values), keys(type(base))
    if unknown := sorted(set(values) - set(types)):
        raise UserError(f"{where}: unknown key {', '.join(unknown)}; valid keys are {', '.join(sorted(types))}")
    changed: Values = {}
    for name, kind, flat in fields(type(base)):
        own = {key: values[key] for key in keys(kind) if key in values} if flat else values.get(name, "")
        if flat and own:
            changed[name] = _over(getattr(base, name), own, where, replace)
        elif isinstance(own, dict) and dataclasses.is_dataclass(kind):
            changed[name] = _over(getattr(base, name), own, f"{where}: {name}", replace)
        elif not isinstance(own, str) or own not in LEFT_OUT:
            changed[name] = _value(kind, own, f"{where}: {name}")
    return replace(base, **changed) if changed else base


def _value(kind: Any, value: Any, where: str) -> Any:
    """Return a value of a settings file, a text or a list of them, as the type of its field."""
    try:
        return _converted(kind, value)
    except (ValueError, TypeError):
        found = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        raise UserError(f"{where}: expected {_type_name(kind)}, found {found!r}") from None


def _converted(kind: Any, value: Any) -> Any:
    if get_origin(kind) in (types.UnionType, Union):  # of a type and None
        kind = next(one for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is tuple:
        items, inner = value if isinstance(value, list) else [value], get_args(kind)
        kinds = inner[:1] * len(items) if inner[1:] == (...,) else inner
        return tuple(_converted(one, item) for one, item in zip(kinds, items, strict=True))
    if dataclasses.is_dataclass(kind) or not isinstance(value, str | int | float | Path):
        raise TypeError(value)
    if kind is bool:
        if str(value).lower() not in TRUTHS:
            raise ValueError(value)
        return TRUTHS[str(value).lower()]
    if get_origin(kind) is Literal:
        return {str(choice): choice for choice in get_args(kind)}[_known(str(value), map(str, get_args(kind)))]
    return kind(str(value))


def _known(value: str, choices: Iterator[str]) -> str:
    if value not in choices:
        raise ValueError(value)
    return value


def _type_name(kind: Any) -> str:
    if kind is bool:
        return "true or false"
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return f"a mapping of {', '.join(keys(kind))}"
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        return "one of " + ", ".join(map(str, get_args(kind) or list(kind)))
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def by_name(options: Any, prefix: str = "") -> Values:
    """Return all options by their dotted names, as JSON gives them back: paths and choices as text, tuples as lists."""
    found: Values = {}
    for name, _, flat in fields(type(options)):
        value = getattr(options, name)
        if dataclasses.is_dataclass(value):
            found |= by_name(value, prefix if flat else f"{prefix}{name}.")
        else:
            found[prefix + name] = plain(value)
    return found


def plain(value: Any) -> Any:
    """Return a value as JSON and YAML give it back."""
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path | Enum) else value


def words_of(options: Any, shown: Sequence[str] = (), than: Any = None, prefix: str = "") -> list[str]:
    """Return the words of a command line that parse into these options: the values that differ from the defaults, and
    those named in ``shown``. ``than``: an instance of the defaults."""
    words: list[str] = []
    for name, kind, flat in fields(type(options)):
        value = getattr(options, name)
        default = getattr(than, name) if than is not None else _default(type(options), name)
        if dataclasses.is_dataclass(value):
            words += words_of(value, shown if flat else (), default, prefix if flat else f"{prefix}{_dashed(name)}.")
        elif name in shown or value != default:
            words += _words(kind, f"{prefix}{_dashed(name)}", value)
    return words


def _words(kind: Any, name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        before, dot, last = name.rpartition(".")
        return [f"--{name}" if value else f"--{before}{dot}no-{last}"]
    if isinstance(value, tuple):
        return [f"--{name}", *map(_text, value)]
    return [f"--{name}={_text(value)}"]


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _default(options: type, name: str) -> Any:
    field = options.__dataclass_fields__[name]  # type: ignore[attr-defined]
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def unchecked_defaults(options: type[T], missing: Any) -> T:
    """Return options with all their defaults, unchecked, and ``missing`` where there is none."""
    made = object.__new__(options)
    for field in dataclasses.fields(options):  # type: ignore[arg-type]
        default = _default(options, field.name)
        object.__setattr__(made, field.name, missing if default is dataclasses.MISSING else default)
    return made
