"""Say of adversarial PNGs, DICOM files and shards whether this package made them, and whether they are unchanged.

    mammogan verify work/adversarial/1024x832/test-remove-000000.tar
    mammogan verify --workspace work found.png SYNTHETIC_remove-ab12.dcm

A file is compared with the sha256 in the index of the workspace, and its signature with the key in private/. Without
--workspace they are those of the workspace that the file lies in. One line is printed for each file.

The exit code is 0 if every file was made here and is unchanged; else that of the worst file: 1 changed, 3 no mark of
this package, 4 marked, but neither key nor index is at hand; 2 is a mistake, such as a missing file. What survives
resizing, screenshots and other encodings: docs/responsible_use.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import tyro

from mammogan.errors import UserError
from mammogan.io.options import run
from mammogan.workspace import Workspace

CODES = {"UNCHANGED": 0, "CHANGED": 1, "FOREIGN": 3, "UNPROVEN": 4}
"""Exit code of each verdict."""
WORST_FIRST = ("CHANGED", "FOREIGN", "UNPROVEN", "UNCHANGED")


@dataclass(frozen=True)
class Options:
    files: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """PNG, DICOM or tar files."""
    workspace: Path | None = None
    """Workspace whose key and indexes the files are compared with. Default: the one that each file lies in."""


def execute(options: Options) -> int:
    """Print one line per file; return the exit code of the worst verdict."""
    from mammogan.attack.verify import verify
    from mammogan.io.terminal import say

    if not options.files:
        raise UserError("name the files to be checked: mammogan verify FILE...")
    if options.workspace and not options.workspace.is_dir():
        raise UserError(f"--workspace {options.workspace}: no such folder")
    found = set()
    for path in options.files:
        finding = verify(path, Workspace(options.workspace) if options.workspace else None)
        found.add(finding.verdict.name)
        say(f"{path}: {finding.verdict.value} ({finding.why})")
    return CODES[next(name for name in WORST_FIRST if name in found)]


def main() -> NoReturn:
    run(Options, execute, __doc__)
