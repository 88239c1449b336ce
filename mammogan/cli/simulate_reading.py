"""Have simulated readers read a drawn study, to try everything before people spend hours on it.

    mammogan draw-reading --workspace work --simulated --name rehearsal
    mammogan simulate-reading --workspace work --name rehearsal
    mammogan simulate-reading --workspace work --name rehearsal --observers R1=skilled R2=guesser R3=learner ...
    mammogan reading-tables --workspace work --name rehearsal

guesser cannot tell fakes from originals; skilled can; biased rarely says not real; learner learns in session 4;
confused calls everything a fake after it; border-watcher looks only at the corners of the picture. They answer through
the server, as browsers do. The study must have been drawn with --simulated; every page and table then says so.
An interrupted reading continues with the same command.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mammogan.errors import UserError
from mammogan.io.options import run
from mammogan.io.shell import shell_word
from mammogan.io.terminal import say
from mammogan.workspace import Workspace

DEFAULTS = ("skilled", "guesser", "learner", "confused", "biased", "border-watcher")


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder in which the study was drawn."""
    name: str = "study"
    """Name of the study."""
    observers: tuple[str, ...] = ()
    """CODE=KIND for every reader of the study, such as R1=skilled. Default: skilled, guesser, learner, confused,
    biased, border-watcher, in this order."""
    seed: int = 0
    """Seed of the simulated answers."""


def execute(options: Options) -> None:
    """Start the server, let every observer read, and stop the server."""
    from mammogan.reader.folder import ReadingFolder
    from mammogan.reader.observers import PRESETS
    from mammogan.reader.simulate import simulate

    workspace = Workspace(options.workspace)
    folder = workspace.reading(options.name)
    kinds = dict(_named(word) for word in options.observers)
    if not kinds:
        readers = ReadingFolder(folder).load().readers
        kinds = {reader: DEFAULTS[i % len(DEFAULTS)] for i, reader in enumerate(readers)}
    if unknown := sorted(set(kinds.values()) - set(PRESETS)):
        raise UserError(f"--observers {', '.join(unknown)}: expected one of {', '.join(PRESETS)}")
    observers = {reader: PRESETS[kind] for reader, kind in kinds.items()}
    simulate(folder, workspace.reading_key(options.name), observers, options.seed)
    said = ", ".join(f"{reader} {kind}" for reader, kind in kinds.items())
    say(f"simulated readers: {said}. Their tables:")
    say(f"  mammogan reading-tables --workspace {shell_word(workspace.root)} --name {options.name}")


def _named(word: str) -> tuple[str, str]:
    reader, equals, kind = word.partition("=")
    if not (reader and equals and kind):
        raise UserError(f"--observers {word}: expected CODE=KIND, such as R1=skilled")
    return reader, kind


def main() -> NoReturn:
    run(Options, execute, __doc__)
