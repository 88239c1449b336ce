"""Records what made a result: the versions of MammoGAN and its libraries, and the git state of the checkout."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import mammogan
from mammogan.io.atomic import write_text

CHECKOUT = Path(__file__).resolve().parents[2]
DIFF_CHARACTERS = 1 << 20
LIBRARIES = ("torch", "torchvision", "webdataset", "numpy", "pillow", "pydicom", "scikit-learn", "submitit")


@functools.cache
def made_by() -> dict[str, object]:
    """Return versions and git state, without paths, host or user names."""
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


def write_provenance_beside(record: Path) -> None:
    """Write two files beside a record that holds ``made_by``: packages.txt with all installed packages as pip reads
    them, and changes.diff when tracked files of the checkout have uncommitted changes."""
    write_text(record.with_name("packages.txt"), "\n".join(packages()) + "\n")
    changes = record.with_name("changes.diff")
    if text := uncommitted():
        write_text(changes, text)
    else:
        changes.unlink(missing_ok=True)


def packages() -> list[str]:
    """Return name==version of every installed package, sorted."""
    found = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
    return sorted((f"{name}=={number}" for name, number in found.items()), key=str.lower)


def git_state() -> str:
    """Return the commit of our checkout, with '+changes' if tracked files are changed; 'none' outside a checkout."""
    if (commit := _git("rev-parse", "HEAD")) is None or (changes := _git("status", "--porcelain", "-uno")) is None:
        return "none"
    return commit.strip() + ("+changes" if changes.strip() else "")


def uncommitted() -> str:
    """Return the uncommitted changes of tracked files as input for git apply, at most DIFF_CHARACTERS characters.

    Empty when there are none, or outside a checkout.
    """
    text = _git("diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD") or ""
    if len(text) <= DIFF_CHARACTERS:
        return text
    return f"{text[:DIFF_CHARACTERS]}\ncut here: {len(text)} characters, of which {DIFF_CHARACTERS} are kept\n"


def _git(*words: str) -> str | None:
    """Return what git prints about our checkout; None without a checkout or without git."""
    if not (CHECKOUT / ".git").exists():
        return None
    try:
        shown = subprocess.run(["git", *words], cwd=CHECKOUT, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return shown.stdout.decode("utf-8", errors="replace")
