"""What all commands share: options from a frozen dataclass, settings files, errors without tracebacks.

A command is ``run(Options, main, __doc__)``. The docstring under each field is its help. A field of type
``Flat[CadConfig]`` shows the options of that class without a prefix (--width), nested ones with it (--penalty.k);
``Grouped[ClusterConfig]`` does the same under a heading of its own. A field ``config`` of Options (and ClusterConfig's
``profile``) names a YAML file with values by option name: the command line wins over --config, --config over --profile,
and --profile over the defaults.
"""

from __future__ import annotations

import copy
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, get_type_hints

import tyro

from mammogan.errors import INTERRUPTED as INTERRUPTED
from mammogan.errors import MISTAKE as MISTAKE
from mammogan.errors import SOME_LEFT_OUT as SOME_LEFT_OUT
from mammogan.errors import UserError
from mammogan.io.atomic import FOUND, place_of
from mammogan.io.disk_errors import explained
from mammogan.io.empty_text import refuse_empty_texts, texts_of
from mammogan.io.structure import fields, structured_unchecked, unchecked_defaults

T = TypeVar("T")
Flat = Annotated[T, tyro.conf.arg(name="")]
"""A field whose own options are shown without a prefix."""


@dataclass(frozen=True)
class _Beside:
    """Marks a field whose own options are written without a prefix, in files too; see ``structure.fields``."""

    name: str = ""


Grouped = Annotated[T, tyro.conf.OmitArgPrefixes, _Beside()]
"""A field like a Flat one, whose options are shown as a group of their own with the class's docstring. They have no
nested ones."""


@dataclass(frozen=True)
class _Unshown:
    """Marks a field that --help leaves out."""


Internal = Annotated[T, _Unshown()]
"""A field whose option this package gives to its own processes: it works like any other, and --help leaves it out."""

MARKERS = (tyro.conf.EnumChoicesFromValues, tyro.conf.HelptextFromCommentsOff, tyro.conf.DisallowNone)
PLACEHOLDER = re.compile(r"YOUR_[A-Z]")
"""Beginning of what a user must replace in slurm/example.yaml."""
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

    Prints and exits on --help and on wrong options. Raises UserError for an option that is given an empty text.
    """
    refuse_empty_texts(options, words)
    is_help = bool({"-h", "--help"} & set(words))
    if is_help:
        _reflow(options)
    base = None if is_help else _from_files(options, words, files)
    if base is None:
        return tyro.cli(options, args=words, description=description, config=MARKERS)
    return tyro.cli(options, args=words, default=base, description=description, config=MARKERS)


def _reflow(options: type) -> None:
    """Give tyro the text under each field as one line, which it breaks at the terminal's width: of itself it keeps most
    line ends of the source. Internal fields are taken out."""
    hints = get_type_hints(options, include_extras=True)
    for name, text in texts_of(options):
        options.__annotations__[name] = Annotated[hints[name], tyro.conf.arg(help=text)]
        if _Unshown() in getattr(hints[name], "__metadata__", ()):
            options.__annotations__[name] = Annotated[hints[name], tyro.conf.Suppress]
    for _, kind, _ in fields(options):
        if isinstance(kind, type) and is_dataclass(kind):
            _reflow(kind)


def _from_files(options: type[T], words: Sequence[str], files: Sequence[str]) -> T | None:
    """Return the defaults with the values of the settings files over them; None when no file is named."""
    found: dict[str, Any] = {}  # a file may name the next one
    layers = []
    for name in files:
        if _owner(options, name) and (file := _named(name, words) or str(found.get(name, ""))):
            values = values_of(Path(file))
            layers.append((name, values, file))
            found = values | found
    base = unchecked_defaults(options, tyro.MISSING) if layers else None
    for name, values, file in reversed(layers):
        base = _with_file(base, name, values, file)
    return base


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a YAML mapping whose scalars all stay text: 24:00:00 stays a time, 1e-4 can become a number."""
    import yaml

    if (place := place_of(file)) != "file":
        raise UserError(f"{file}: {FOUND[place]}" + ("" if file.is_absolute() else f" (tried {file.absolute()})"))
    try:
        read = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {error}") from error
    if read not in ("", None) and not isinstance(read, dict):
        raise UserError(f"{file}: expected a mapping 'option: value', found {type(read).__name__}")
    return {str(key): value for key, value in (read or {}).items()}


def _owner(options: type, name: str) -> type | None:
    """Return the dataclass that has the field ``name``: ``options`` or a Flat one in it."""
    for field, kind, flat in fields(options):
        if field == name:
            return options
        if flat and (owner := _owner(kind, name)):
            return owner
    return None


def _with_file(base: Any, name: str, values: dict[str, Any], file: str) -> Any:
    """Return options with the values of a file over those of the dataclass that has the option ``name``."""
    if _owner(type(base), name) is type(base):
        return structured_unchecked(base, values, file)
    changed = copy.copy(base)
    [field] = [field for field, kind, flat in fields(type(base)) if flat and _owner(kind, name)]
    object.__setattr__(changed, field, _with_file(getattr(base, field), name, values, file))
    return changed


def _named(name: str, words: Sequence[str]) -> str:
    """Return the file that ``--name FILE`` or ``--name=FILE`` gives, the last one; empty where there is none."""
    file = ""
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        if word == f"--{name}":
            file = "" if following.startswith("--") else following
        elif word.startswith(f"--{name}="):
            file = word.partition("=")[2]
    return file


def values_of(file: Path) -> dict[str, Any]:
    """Return a file's settings. A run folder's config.yaml has them under ``config``, beside what made them."""
    values = read_yaml(file)
    if left := [f"{name}: {value}" for name, value in values.items() if PLACEHOLDER.match(str(value))]:
        raise UserError(
            f"{file} still has placeholders of the example: {', '.join(left)}. Enter your site's names, or delete the "
            "lines that your site does not need"
        )
    of_a_run = values.get("config")
    return of_a_run if isinstance(of_a_run, dict) else values


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return explained(error)
    return str(error) or type(error).__name__
