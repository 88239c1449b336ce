"""Names files in a command line by their contents: another model makes it another study, a moved file does not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from mammogan.io.atomic import sha256

NAMING_FILES = ("checkpoint", "config", "vgg-weights")
"""Options whose value may be a file's path; their other values stay as they are."""


def by_content(words: Sequence[str], used: Callable[[], Sequence[Path]]) -> list[str]:
    """Return a stage's words with every file that they name replaced by its sha256.

    --models becomes a digest of the checkpoints that are ``used`` there, or keeps its path where there are none yet.
    """
    return [_by_content(*word.partition("="), used) for word in words]


def file_by_content(file: Path | str) -> str:
    """Return a file's sha256, or the value itself where it is no file."""
    return sha256(Path(file)) if Path(file).is_file() else str(file)


def _by_content(name: str, equals: str, value: str, used: Callable[[], Sequence[Path]]) -> str:
    if name.removeprefix("--") in NAMING_FILES:
        value = file_by_content(value)
    elif name == "--models" and (found := used()):
        value = hashlib.sha256("".join(map(file_by_content, found)).encode()).hexdigest()
    return f"{name}{equals}{value}"
