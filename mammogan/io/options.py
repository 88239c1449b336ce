"""What all commands share: options from a frozen dataclass, settings files, errors without tracebacks.

A command is ``run(Options, main, __doc__)``. The docstring under each field is its help. A field of type
``Flat[CadConfig]`` shows the options of that class without a prefix (--width), nested ones with it (--penalty.k). A
field ``config`` of Options (and ClusterConfig's ``profile``) names a YAML file with values by option name: the command
line wins over --config, --config over --profile, and --profile over the defaults.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

import tyro

from mammogan.errors import INTERRUPTED as INTERRUPTED
from mammogan.errors import MISTAKE as MISTAKE
from mammogan.errors import SOME_LEFT_OUT as SOME_LEFT_OUT
from mammogan.errors import UserError

T = TypeVar("T")
Flat = Annotated[T, tyro.conf.arg(name="")]
"""A field whose own options are shown without a prefix."""

MARKERS = (tyro.conf.EnumChoicesFromValues, tyro.conf.HelptextFromCommentsOff, tyro.conf.DisallowNone)
FILES = ("config", "profile")
"""Options that name a file with values for the options of the dataclass they belong to; the first ones win."""


def run(
    options: type[T], main: Callable[[T], int | None], description: str | None, files: Sequence[str] = FILES
) -> NoReturn:
    """Parse the command line, call ``main`` and exit with what it returns. ``files``: options that name settings files.

    An error that a user can correct (UserError and so MissingInput, OSError) is reported in one message, exit code 2;
    with MAMMOGAN_TRACEBACK=1 also as a traceback. Any other error is a bug in the program and keeps its traceback.
    """
    sys.exit(guarded(lambda: main(parse(options, sys.argv[1:], description, files))))


def guarded(work: Callable[[], int | None]) -> int:
    """Call ``work`` and return its exit code; expected errors are reported on stderr."""
    try:
        return work() or 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UserError, OSError) as error:
        if os.environ.get("MAMMOGAN_TRACEBACK") == "1":
            traceback.print_exc()
        print(f"error: {_message(error)}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("interrupted; the same command resumes from the finished work", file=sys.stderr)
        return INTERRUPTED


def parse(options: type[T], words: Sequence[str], description: str | None = None, files: Sequence[str] = FILES) -> T:
    """Parse ``words`` into an instance of ``options``; they win over the settings files they name.

    Prints and exits on --help and on wrong options.
    """
    for name in files:
        if owner := _owner(options, name):
            words = [*_words_of_file(owner, name, words), *words]
    return tyro.cli(options, args=words, description=description, config=MARKERS)


def keys(options: type) -> dict[str, Any]:
    """Return the type of every option by its name in a settings file; fields of a Flat field are listed with the
    others."""
    found: dict[str, Any] = {}
    for name, kind, flat in _fields(options):
        found |= keys(kind) if flat else {name: kind}
    return found


def words_of(options: type, values: dict[str, Any], where: str) -> list[str]:
    """Turn a settings mapping into words of a command line; an unknown key or a wrong value is a UserError."""
    return list(_words(keys(options), values, where, ""))


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a YAML mapping whose scalars all stay text: 24:00:00 stays a time, 1e-4 can become a number."""
    import yaml

    if not file.is_file():
        raise UserError(f"{file}: no such file")
    try:
        read = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {error}") from error
    if read not in ("", None) and not isinstance(read, dict):
        raise UserError(f"{file}: expected a mapping 'option: value', found {type(read).__name__}")
    return {str(key): value for key, value in (read or {}).items()}


def _fields(options: type) -> Iterator[tuple[str, Any, bool]]:
    """Yield each field's name, its type and whether it is Flat."""
    hints = get_type_hints(options, include_extras=True)
    for field in dataclasses.fields(options):
        marks = getattr(hints[field.name], "__metadata__", ())
        kind = hints[field.name].__origin__ if marks else hints[field.name]
        yield field.name, kind, any(getattr(mark, "name", None) == "" for mark in marks)


def _owner(options: type, name: str) -> type | None:
    """Return the dataclass that has the field ``name``: ``options`` or a Flat one in it."""
    for field, kind, flat in _fields(options):
        if field == name:
            return options
        if flat and (owner := _owner(kind, name)):
            return owner
    return None


def _words(types: dict[str, Any], values: dict[str, Any], where: str, prefix: str) -> Iterator[str]:
    values = _nested({key.replace("-", "_"): value for key, value in values.items()})
    if unknown := sorted(set(values) - set(types)):
        raise UserError(f"{where}: unknown key {', '.join(unknown)}; valid keys are {', '.join(sorted(types))}")
    for key, value in values.items():
        yield from _option(types[key], key, value, f"{where}: {key}", prefix)


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    """Turn dotted keys, as on the command line (compute.device), into nested mappings."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        first, dot, rest = key.partition(".")
        if dot:
            value = {rest: value}
        nested[first] = nested.get(first, {}) | value if isinstance(value, dict) else value
    return nested


def _option(kind: Any, key: str, value: Any, where: str, prefix: str) -> Iterator[str]:
    name = key.replace("_", "-")
    if isinstance(value, dict) and dataclasses.is_dataclass(kind):
        yield from _words(keys(kind), value, where, f"{prefix}{name}.")  # type: ignore[arg-type]
    elif kind is bool:
        yield f"--{prefix}{'' if _boolean(value, where) else 'no-'}{name}"
    elif value in ("", "null", "~"):
        return  # left out, as on the command line
    elif isinstance(value, list):
        _check(kind, [str(item) for item in value], where)
        yield from [f"--{prefix}{name}", *map(str, value)]
    else:
        _check(kind, [str(value)], where)
        yield f"--{prefix}{name}={value}"


def _boolean(value: Any, where: str) -> bool:
    truths = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if str(value).lower() not in truths:
        raise UserError(f"{where}: expected true or false, found {value!r}")
    return truths[str(value).lower()]


def _check(kind: Any, words: list[str], where: str) -> None:
    """Let the command line's parser check one value, so that files and command line accept the same."""

    def accept(value: Any) -> None: ...

    accept.__annotations__ = {"value": kind}
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            tyro.cli(accept, args=["--value", *words], config=MARKERS)
    except SystemExit:
        raise UserError(f"{where}: expected {_type_name(kind)}, found {' '.join(words)!r}") from None


def _type_name(kind: Any) -> str:
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        return "one of " + ", ".join(map(str, get_args(kind) or list(kind)))
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _words_of_file(owner: type, name: str, words: Sequence[str]) -> list[str]:
    """Return the words in the file that ``--name FILE`` or ``--name=FILE`` gives; none with --help. The last one given
    wins.

    A run folder's config.yaml has its settings under ``config``, beside what made them.
    """
    file = ""
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        if word == f"--{name}":
            file = following
        elif word.startswith(f"--{name}="):
            file = word.partition("=")[2]
    if not file or file.startswith("--") or {"-h", "--help"} & set(words):
        return []
    values = read_yaml(Path(file))
    of_a_run = values.get("config")
    return words_of(owner, of_a_run if isinstance(of_a_run, dict) else values, file)


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
