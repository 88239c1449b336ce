"""Read and write the package's own records (JSON, YAML): each carries a checksum of its content and has a known shape.

A record that was cut, emptied or changed after it was written is a UserError that names the file and says what to do.
Records of earlier versions carry no checksum; of them only the shape is checked.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

import yaml

from mammogan.errors import UserError
from mammogan.io.atomic import ZEROS, write_text

T = TypeVar("T")
SEAL = "content_sha256"
"""Key of a JSON record's checksum: the sha256 of all its other content."""
FORMAT = "record_format"
"""Key that says that a JSON record was written with a checksum: one that was taken out is missed."""
SEALED = "# The last line is the sha256 of all lines before it.\n"
"""First line of a YAML record that ends with its checksum."""
SEAL_LINE = re.compile(r"^[ \t]*# *[0-9a-f]{64}[ \t]*$", re.MULTILINE | re.IGNORECASE)
"""A line of a YAML record that can only be its checksum."""
BYTE_ORDER_MARK = "\ufeff"
"""What some editors put before the first character; it is no content."""
EVERY = "*"
"""Key of a shape that stands for every key of a mapping."""
DELETE = "Delete it and repeat the command that makes it"
Shape = type | tuple[type, ...] | Mapping[str, Any] | list[Any] | None
"""A type; {key: shape} for a mapping that has at least these keys, but those that end with "?", which may be missing;
[shape] for a list of any length; {EVERY: shape} for a mapping of any keys; None: anything."""


class DamagedRecord(UserError):
    """One of our own files is not as it was written."""

    def __init__(self, path: Path, why: str, remedy: str = DELETE) -> None:
        self.why = why
        super().__init__(f"{path} is damaged: {why}. {remedy}")


def write_record(path: Path, values: Mapping[str, Any], mode: int | None = None) -> None:
    """Write a JSON record with its checksum, complete or not at all; NaN and infinity are refused."""
    held = {name: value for name, value in values.items() if name not in (FORMAT, SEAL)} | {FORMAT: 2}
    text = json.dumps(held | {SEAL: _sha256(held)}, indent=1, allow_nan=False)
    write_text(path, text + "\n", mode)


def read_record(path: Path, shape: Shape = None, remedy: str = DELETE) -> dict[str, Any]:
    """Read a JSON record, without its checksum. Raise DamagedRecord if it is not as it was written or has another
    ``shape``; ``remedy`` is the sentence that says what to do."""
    try:
        values = parse_record(_text(path))
        check_shape(values, shape)
    except Misfit as error:
        raise DamagedRecord(path, str(error), remedy) from None
    return values


class Misfit(ValueError):
    """Says what is wrong with the content of a record, without naming its file."""


def parse_record(content: str | bytes, sealed: bool = False) -> dict[str, Any]:
    """Parse the text of a JSON record and check its checksum, which only one of an earlier version may lack, unless it
    must be ``sealed``.

    Raise Misfit if it is no record.
    """
    if not content.strip():
        raise Misfit("it is empty")
    if not (content.strip(b"\0") if isinstance(content, bytes) else content.strip("\0")):
        raise Misfit(f"it {ZEROS}")
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Misfit(f"it is no complete JSON ({str(error) or type(error).__name__})") from None
    if not isinstance(values, dict):
        raise Misfit(f"expected a mapping, found {_name(values)}")
    if SEAL not in values and (sealed or FORMAT in values):
        raise Misfit(f"its checksum is missing ({SEAL})")
    if SEAL in values and values.pop(SEAL) != _sha256(values):
        raise Misfit(f"its content was changed after it was written ({SEAL} does not fit)")
    return {name: value for name, value in values.items() if name != FORMAT}


def write_yaml_record(path: Path, values: Mapping[str, Any]) -> None:
    """Write a YAML record with its checksum, complete or not at all."""
    text = SEALED + yaml.safe_dump(dict(values), sort_keys=False)
    write_text(path, f"{text}# {_sha256_of_text(text)}\n")


def read_yaml_record(path: Path, shape: Shape = None, remedy: str = DELETE) -> dict[str, Any]:
    """Read a YAML record. Raise DamagedRecord if it is not as it was written or has another ``shape``."""
    try:
        values = _parse_yaml(_text(path))
        check_shape(values, shape)
    except Misfit as error:
        raise DamagedRecord(path, str(error), remedy) from None
    return values


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Misfit("it is no text in UTF-8") from None


def _parse_yaml(text: str) -> dict[str, Any]:
    if not text.strip():
        raise Misfit("it is empty")
    if not text.strip("\0"):
        raise Misfit(f"it {ZEROS}")
    text = text.removeprefix(BYTE_ORDER_MARK)
    if _was_sealed(text):
        body, _, seal = text.rstrip("\n").rpartition("\n")
        if not text.startswith(SEALED) or seal != f"# {_sha256_of_text(body + chr(10))}":
            raise Misfit("it was cut, or changed after it was written")
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Misfit(f"it is no complete YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise Misfit(f"expected a mapping, found {_name(values)}")
    return values


def _was_sealed(text: str) -> bool:
    """Whether any line says that there is a checksum, or is one: an editor may have put other lines around them."""
    return any(SEALED.strip() in line for line in text.splitlines()) or SEAL_LINE.search(text) is not None


def check_shape(value: Any, shape: Shape, where: str = "") -> None:
    """Raise Misfit, naming the place, if a value has another shape."""
    if isinstance(shape, Mapping):
        _expect(value, dict, where)
        for name, inner in shape.items():
            key = name.removesuffix("?")
            if key == name != EVERY and key not in value:
                raise Misfit(f"{_at(where)}{key} is missing")
            for one in value if name == EVERY else value.keys() & {key}:
                check_shape(value[one], inner, f"{_at(where)}{one}")
    elif isinstance(shape, list):
        _expect(value, list, where)
        for number, item in enumerate(value):
            check_shape(item, shape[0], f"{where}[{number}]")
    elif shape is not None:
        _expect(value, shape, where)


def build_entries(path: Path, make: Callable[[Any], T], values: Iterable[Any], remedy: str = DELETE) -> list[T]:
    """Build objects from the entries of a record. Raise DamagedRecord if one lacks something, or has another type; of
    dataclasses the types of the fields are compared, as far as they are plain."""
    found = []
    for number, value in enumerate(values):
        try:
            found.append(make(value))
            _check_fields(found[-1])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise DamagedRecord(path, f"entry {number} is not understood ({error!r})", remedy) from None
    return found


def _check_fields(made: Any) -> None:
    """Raise Misfit, naming the field, if a dataclass holds a value of another type than it says."""
    cls: type = type(made)
    for name, kinds in _plain_fields(cls) if dataclasses.is_dataclass(cls) else ():
        value = getattr(made, name)
        if kinds:
            _expect(value, (*kinds, int) if float in kinds else kinds, name)
        _check_fields(value)


@functools.cache
def _plain_fields(cls: type) -> tuple[tuple[str, tuple[type, ...]], ...]:
    """Return the fields of a dataclass with their types; without any where one is more than a plain type."""
    plain = []
    for name, hint in get_type_hints(cls).items():
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        plain.append((name, kinds if all(type(kind) is type for kind in kinds) else ()))
    return tuple(plain)


def _expect(value: Any, kind: type | tuple[type, ...], where: str) -> None:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join("nothing" if one is type(None) else WORDS.get(one, one.__name__) for one in kinds)
        raise Misfit(f"{where + ': ' if where else ''}expected {wanted}, found {_name(value)}")


WORDS: dict[type, str] = {dict: "a mapping", list: "a list", str: "text", int: "a whole number", float: "a number"}


def _name(value: Any) -> str:
    return "nothing" if value is None else WORDS.get(type(value), type(value).__name__)


def _at(where: str) -> str:
    return f"{where}." if where else ""


def _sha256(values: Mapping[str, Any]) -> str:
    return _sha256_of_text(json.dumps(values))


def _sha256_of_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
