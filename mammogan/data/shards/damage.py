"""Turn what damaged bytes raise into one sentence that names the shard and the sample."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from mammogan.errors import UserError
from mammogan.io.disk_errors import explained
from mammogan.io.shell import shell_word

DAMAGE = (tarfile.TarError, LookupError, ValueError, EOFError, OSError)
"""Errors raised while reading members that are cut off, missing, or not what their names say."""


class DamagedSample(UserError):
    """A sample of a shard whose bytes are not those that were written, or whose shard is gone."""


class UnreadSample(UserError):
    """A sample of a shard that the disk did not give, whatever its bytes are."""


def unread(shard: Path, sample: str, error: OSError) -> UnreadSample:
    """Make the error for a sample that the disk did not give; what fails in the midst of reading names no file."""
    named = OSError(error.errno, error.strerror or str(error), error.filename or str(shard))
    return UnreadSample(f"{sample} of {shard.name} cannot be read: {explained(named)}")


@contextmanager
def naming(shard: Path, key: str) -> Iterator[None]:
    """Raise DamagedSample, which names shard and key, for what reading a damaged sample raises, and UnreadSample for an
    error of the disk.
    """
    try:
        yield
    except UserError:
        raise
    except DAMAGE as error:
        if isinstance(error, FileNotFoundError):
            raise _gone(shard) from None
        if isinstance(error, OSError) and error.errno:
            raise unread(shard, key, error) from error
        told = f"{shard}: {key} is damaged ({type(error).__name__}: {error})"
        raise DamagedSample(f"{told}; {_check(shard)}") from error


@contextmanager
def opened(shard: Path) -> Iterator[BinaryIO]:
    """Open a tar for reading. Raise DamagedSample, which names it, if it is gone."""
    with ExitStack() as stack:
        try:
            tar = stack.enter_context(open(shard, "rb"))
        except FileNotFoundError:
            raise _gone(shard) from None
        yield tar


def _gone(shard: Path) -> DamagedSample:
    return DamagedSample(f"{shard} is gone, which index.json beside it lists; {_check(shard)}")


def _check(shard: Path) -> str:
    size, workspace = shard.parent.name, shard.parent.parent.parent
    return (
        f"run\n  mammogan check-shards --workspace {shell_word(workspace)} --resolution {size}\n"
        "It lists all that is damaged, and says what to do"
    )
