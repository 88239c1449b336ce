"""How Python is started for a part of this package in a process of its own.

``python -m`` takes modules from the current folder first. A file named yaml.py in somebody else's workspace would then
run, although the command that was typed does not look there.
"""

from __future__ import annotations

import sys
from pathlib import Path


def isolated() -> str:
    """Return the option -P, which leaves the current folder out; empty if this process has that folder as well."""
    try:
        here = str(Path.cwd())
    except OSError:  # it was removed
        return "-P"
    return "" if {"", here} & set(sys.path) else "-P"


def python_running(module: str) -> tuple[str, ...]:
    """Return the words that run a module with this Python, unbuffered."""
    return (sys.executable, f"-u{isolated().removeprefix('-')}", "-m", module)
