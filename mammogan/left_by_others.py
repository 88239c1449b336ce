"""Recognises what other programs leave in our folders: no reader takes it for ours, and check-shards names it.

Our own names have plain letters, digits and a few signs. A copy that a file manager or a synchronisation program made,
in whatever language, nearly always has a space or a parenthesis.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

OURS = re.compile(
    r"(?!.*(\.sync-conflict-|-(DESKTOP|LAPTOP)-|\.(bak|orig|old|swp|part|partial|crdownload)$))[A-Za-z0-9_][A-Za-z0-9_.=+-]*"
)
LITTER = re.compile(
    r"\._.*|\.ds_store|\.localized|icon\r|(eh)?thumbs\.db|desktop\.ini|\.directory|~\$.*|\.~lock\..*#|\.nfs[0-9a-f]+|"
    r"\.fuse_hidden.*|\.smbdelete.*|[.~]+syncthing[.~].*|\.stfolder|\.dropbox.*|\.sync_\w+\.db.*|.*\.sw[op]",
    re.I,
)
"""What macOS, Windows, editors, network disks and synchronisation programs write for themselves."""


def is_litter(name: str) -> bool:
    """Return whether a file is what another program writes for itself beside the files of people."""
    return bool(LITTER.fullmatch(name))


def is_ours(name: str) -> bool:
    """Return whether a file that is not hidden may be of this package, by its name."""
    return bool(OURS.fullmatch(name)) and not is_litter(name)


def ours_in(folder: Path, pattern: str = "*") -> list[Path]:
    """List the files and folders below ``folder`` that match a pattern and may be ours, sorted."""
    return sorted(path for path in folder.glob(pattern) if is_ours(path.name))


def is_empty(folder: Path) -> bool:
    """Return whether nothing is in a folder but what other programs write for themselves."""
    return all(is_litter(path.name) for path in folder.iterdir())


def said_of_others(root: Path, folders: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each copy of a file of ours in these folders below ``root``, given by patterns, and one for
    all other files that are ignored."""
    ignored: list[Path] = []
    for path in (path for folder in folders for top in sorted(root.glob(folder)) for path in _of_others(top)):
        if original := _original(path):
            yield (
                f"{path}: a copy of {original} that a synchronisation program or a file manager made. It is ignored; "
                "compare the two, keep the right one under that name, and delete the copy"
            )
        else:
            ignored.append(path)
    if ignored:
        count = "a file" if len(ignored) == 1 else f"{len(ignored)} files"
        yield f"{count} that other programs left, such as {ignored[0]}: ignored"


def _of_others(top: Path) -> Iterator[Path]:
    if not is_ours(top.name):
        yield top
        return
    for folder, below, names in os.walk(top):
        copied = [name for name in below if not name.startswith(".") and not is_ours(name)]
        below[:] = sorted(set(below) - set(copied))
        hidden = [name for name in names if name.startswith(".") and not is_litter(name)]  # of a writer, or unknown
        yield from (Path(folder) / name for name in sorted({*copied, *names} - {*hidden}) if not is_ours(name))


def _original(copy: Path) -> str:
    """Return the name of the file of ours that was copied: the longest whose name, but for its suffix, the copy has."""
    if is_litter(copy.name):
        return ""
    names = [path.name for path in ours_in(copy.parent)]
    copied = [name for name in names if Path(name).stem in copy.name and Path(name).suffix in copy.name]
    return max(copied, key=len, default="")
