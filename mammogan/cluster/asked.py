"""In what two command lines of the same stage differ, option by option, in words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence


def differences(before: str, now: str) -> str:
    """Such as '--epochs 5 in place of 3, --width 2 new'; empty when both ask for the same."""
    earlier, later = _options(shlex.split(before)), _options(shlex.split(now))
    names = list(dict.fromkeys([*later, *earlier]))
    return ", ".join(
        _difference(name, earlier.get(name), later.get(name)) for name in names if earlier.get(name) != later.get(name)
    )


def _options(words: Sequence[str]) -> dict[str, str]:
    """Each option with its values; what stands before the first has no name."""
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
    """Whether a file is named by its sha256."""
    return re.fullmatch("[0-9a-f]{64}", value) is not None
