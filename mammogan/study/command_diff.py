"""Compares two command lines of the same stage, option by option, and describes the differences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence


def differences(before: str, now: str) -> str:
    """Return the differences in words, such as '--epochs 5 in place of 3, --width 2 new'; empty when there are none."""
    earlier, later = _options(_renamed(shlex.split(before))), _options(shlex.split(now))
    names = list(dict.fromkeys([*later, *earlier]))
    return ", ".join(
        _difference(name, earlier.get(name), later.get(name)) for name in names if earlier.get(name) != later.get(name)
    )


def _renamed(words: list[str]) -> list[str]:
    """Replace the path of a script, such as launch/train_cad.py, by the command's name: version 0.1 recorded paths."""
    script = re.fullmatch(r"(?:launch|shards)/(\w+)\.py", words[0]) if words else None
    return [script[1].replace("_", "-"), *words[1:]] if script else words


def _options(words: Sequence[str]) -> dict[str, str]:
    """Return each option with its values; the words before the first option are listed under ''."""
    found: dict[str, list[str]] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            found[name] = [value] if equals else []
        else:
            found.setdefault(name, []).append(word)
    return {name: shlex.join(values) for name, values in found.items()}


def _difference(name: str, before: str | None, now: str | None) -> str:
    if now is None:
        return f"{name} {before}".rstrip() + " left out"
    if before is None:
        return f"{name} {now}".rstrip() + " new"
    if _is_content(before) and _is_content(now):
        return f"other contents of {name}"
    return f"{name} {now or 'alone'} in place of {before or 'alone'}".lstrip()


def _is_content(value: str) -> bool:
    """Return whether a value is the sha256 of a file's contents."""
    return re.fullmatch("[0-9a-f]{64}", value) is not None
