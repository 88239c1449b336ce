"""What made an artifact: our version, the libraries', the state of the checkout."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mammogan

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
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "none"
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=10, check=True
        )
        changes = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=root, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "none"
    return commit.stdout.strip() + ("+changes" if changes.stdout.strip() else "")
