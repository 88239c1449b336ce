"""Show the status of every stage of a workspace: job or process, restarts, phase, epoch, figures, speed, time left.

    mammogan watch --workspace work
    mammogan watch --workspace work --every 60
    mammogan watch --workspace work --json | jq '.stages[] | {name, message, error}'
    mammogan watch --workspace work/cv            all studies of mammogan cross-validate, a line for each

On a terminal the table is drawn again every --every seconds until Ctrl-C; elsewhere it is printed once, with exit code
1 when a stage has failed or was cancelled, else 0. The states come from squeue and sacct; without accounting, from
squeue and from what the jobs have written; without SLURM, from the files alone. It only reads, so it may run on any
machine that sees the workspace, as often as you like.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mammogan.crossvalidation.fold_study import study_folders
from mammogan.crossvalidation.overview import Overview
from mammogan.io.options import run
from mammogan.io.terminal import say
from mammogan.watch.watch import Watcher, document, live
from mammogan.workspace import Workspace


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder of the study."""
    every: float = 10.0
    """Seconds between two updates on a terminal; each runs squeue once."""
    json: bool = False
    """Print one JSON document, on a terminal too; mammogan.watch.watch.document explains its keys."""


def execute(options: Options) -> int:
    """Show the status, live or once; return the exit code."""
    if study_folders(options.workspace):
        return show_studies(Overview(options.workspace), options)
    watcher = Watcher(Workspace(options.workspace))
    if sys.stdout.isatty() and not options.json:
        from mammogan.watch.table import table

        return live(lambda: table(watcher.look()), options.every)
    view = watcher.look()
    if options.json:
        say(json.dumps(document(view), indent=1, allow_nan=False))
    else:
        from mammogan.watch.table import plain

        say(plain(view))
    return view.exit_code


def show_studies(overview: Overview, options: Options) -> int:
    """Show one line for each study of a cross-validation, and the pooling, live or once; return the exit code."""
    if sys.stdout.isatty() and not options.json:
        from rich.text import Text

        return live(lambda: Text(overview.text(overview.look())), options.every)
    found = overview.look()
    say(json.dumps(overview.document(found), indent=1, allow_nan=False) if options.json else overview.text(found))
    return found.exit_code


def main() -> NoReturn:
    run(Options, execute, __doc__)
