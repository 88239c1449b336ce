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
SOURCES = ("mammogan/*.py", "mammogan/*.html", "mammogan/*.css", "mammogan/cli/demo.yaml", "launch/*.py", "shards/*.py")
"""The files of the package, as git's patterns."""
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
    them, and changes.diff when tracked source files of the package have uncommitted changes.

    Other files of the checkout, which may hold patients, such as a table that was added to git, are never copied.
    """
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
    """Return the commit of our checkout, with '+changes' if tracked source files are changed; 'none' outside a
    checkout, and 'unknown' with the reason where git does not answer."""
    if not (CHECKOUT / ".git").exists():
        return "none"
    try:
        commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno", "--", *SOURCES)
    except GitSilent as error:
        return f"unknown: {error}"
    return commit.strip() + ("+changes" if changes.strip() else "")


def uncommitted() -> str:
    """Return the uncommitted changes of tracked source files as input for git apply, at most DIFF_CHARACTERS
    characters.

    Empty when there are none, outside a checkout, or where git does not answer.
    """
    try:
        shown = _git("diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD", "--", *SOURCES)
    except GitSilent:
        return ""
    if len(shown) <= DIFF_CHARACTERS:
        return shown
    return f"{shown[:DIFF_CHARACTERS]}\ncut here: {len(shown)} characters, of which {DIFF_CHARACTERS} are kept\n"


class GitSilent(Exception):
    """Git gives no answer about our checkout; the text says why, without paths or names."""


def _git(*words: str) -> str:
    """Return what git prints about our checkout. Raise GitSilent if it prints an error, or is not there."""
    if not (CHECKOUT / ".git").exists():
        raise GitSilent("there is no checkout")
    try:
        shown = subprocess.run(["git", *words], cwd=CHECKOUT, capture_output=True, timeout=10, check=True)
    except FileNotFoundError:
        raise GitSilent("git is not installed here") from None
    except subprocess.CalledProcessError as error:
        refused = b"dubious ownership" in error.stderr
        raise GitSilent(
            "git refuses to answer, since the checkout belongs to another user (git config safe.directory)"
            if refused
            else "git gives an error"
        ) from None
    except (OSError, subprocess.SubprocessError):
        raise GitSilent("git does not answer") from None
    return shown.stdout.decode("utf-8", errors="replace")
