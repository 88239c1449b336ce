"""How Python is started for a part of this package in a process of its own.

``python -m`` takes modules from the current folder first. A file named yaml.py in somebody else's workspace would then
run, although the command that was typed does not look there.
"""

from __future__ import annotations

import sys
from pathlib import Path


def is_isolated() -> bool:
    """Return whether this process takes no modules from the current folder. Those it starts do not either, by -P."""
    try:
        here = str(Path.cwd())
    except OSError:  # it was removed
        return True
    return not {"", here} & set(sys.path)


def python_running(module: str) -> tuple[str, ...]:
    """Return the words that run a module with this Python, unbuffered."""
    return (sys.executable, "-uP" if is_isolated() else "-u", "-m", module)
