"""Turn what damaged bytes raise into one sentence that names the shard and the sample."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mammogan.errors import UserError
from mammogan.io.shell import shell_word

DAMAGE = (tarfile.TarError, LookupError, ValueError, EOFError, OSError)
"""Errors raised while reading members that are cut off, missing, or not what their names say."""


class DamagedSample(UserError):
    """A sample of a shard whose bytes are not those that were written."""


@contextmanager
def naming(shard: Path, key: str) -> Iterator[None]:
    """Raise DamagedSample, which names shard and key, for what reading a damaged sample raises.

    Errors of the disk are raised as they are.
    """
    try:
        yield
    except UserError:
        raise
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno:
            raise
        size, workspace = shard.parent.name, shard.parent.parent.parent
        raise DamagedSample(
            f"{shard}: {key} is damaged ({type(error).__name__}: {error}); run\n"
            f"  mammogan check-shards --workspace {shell_word(workspace)} --resolution {size}\n"
            "It lists all that is damaged, and says what to do"
        ) from error
