"""Options that name files which decide what is made, known by what is in these: another model is another study, a moved
file is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from mammogan.files import sha256

NAMING_FILES = ("checkpoint", "config", "vgg-weights")
"""Options whose value may be a file's path; those that have other values too keep these."""


def by_content(words: Sequence[str], used: Callable[[], Sequence[Path]]) -> list[str]:
    """A stage's words with sha256 in the place of the files that they name; in that of --models, of the checkpoints
    that are ``used`` there, or its path where there are none yet."""
    return [_by_content(*word.partition("="), used) for word in words]


def file_by_content(file: Path | str) -> str:
    """Its sha256, or itself where it is no file."""
    return sha256(Path(file)) if Path(file).is_file() else str(file)


def _by_content(name: str, equals: str, value: str, used: Callable[[], Sequence[Path]]) -> str:
    if name.removeprefix("--") in NAMING_FILES:
        value = file_by_content(value)
    elif name == "--models" and (found := used()):
        value = hashlib.sha256("".join(map(file_by_content, found)).encode()).hexdigest()
    return f"{name}{equals}{value}"
