"""What made an artifact: our version, the libraries', the state of the checkout."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mammogan

MOST_CHANGES = 10_000_000
LIBRARIES = ("torch", "torchvision", "webdataset", "numpy", "pillow", "pydicom", "scikit-learn", "submitit")


@functools.cache
def made_by() -> dict[str, object]:
    """Versions and git state, without paths, host or user names."""
    return {
        "mammogan": mammogan.__version__,
        "git": git_state(),
        "python": platform.python_version(),
        "libraries": _libraries(),
    }


def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_state() -> str:
    """Commit of the checkout we run from, '+changes' when it is dirty, 'none' outside a checkout."""
    commit = _git("rev-parse", "HEAD").strip()
    if not commit:
        return "none"
    return commit + ("+changes" if _git("status", "--porcelain", "-uno").strip() else "")


def changes() -> str:
    """What '+changes' stands for: the difference of the checkout's tracked files from its commit; empty when there is
    none. A difference of more than MOST_CHANGES characters is cut, and says so."""
    found = _git("diff", "HEAD")
    return found if len(found) <= MOST_CHANGES else f"{found[:MOST_CHANGES]}\n... cut after {MOST_CHANGES} characters\n"


def _git(*words: str) -> str:
    """What git says in our checkout; nothing outside of one, or without git."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        said = subprocess.run(["git", *words], cwd=root, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.decode(errors="replace")
