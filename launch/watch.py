"""Show how every stage of a workspace stands: its job or process, restarts, phase, epoch, figures, speed, time left.

On a terminal the table is drawn anew every --every seconds until Ctrl-C; elsewhere it is printed once, with exit code 1
when a stage has failed or was cancelled, else 0. States come from squeue and sacct; where accounting is off, from
squeue and from what the jobs have written; where there is no SLURM, from the files alone. It only reads, so it may run
anywhere that sees the workspace, as often as you like.

    python launch/watch.py --workspace work
    python launch/watch.py --workspace work --every 60
    python launch/watch.py --workspace work --json | jq '.stages[] | {name, told, error}'
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from mammogan.cluster.watch import Watcher, document, live
from mammogan.command_line import run
from mammogan.config import Workspace
from mammogan.terminal import say


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    every: float = 10.0
    """Seconds between two looks on a terminal; squeue is asked once at each."""
    json: bool = False
    """Print one JSON document, also on a terminal; its keys are told by mammogan.cluster.watch.document."""


def main(options: Options) -> int:
    watcher = Watcher(Workspace(options.workspace))
    if sys.stdout.isatty() and not options.json:
        return live(watcher, options.every)
    view = watcher.look()
    if options.json:
        say(json.dumps(document(view), indent=1, allow_nan=False))
    else:
        from mammogan.cluster.watch_table import plain

        say(plain(view))
    return view.exit_code


if __name__ == "__main__":
    run(Options, main, __doc__)
