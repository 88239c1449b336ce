"""Write commands that a user can copy into a shell as they are."""

from __future__ import annotations

import shlex
from pathlib import Path


def shell_word(path: Path | str) -> str:
    """Quote a path or word for a shell, where that is needed."""
    return shlex.quote(str(path))
