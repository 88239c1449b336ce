"""Turns --setup into the shell lines of a job script: each command that fails ends the job and says so."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from mammogan.errors import UserError

FAILED = """setup_failed() { echo "error: this line of --setup failed: $1" >&2; exit 1; }"""
MOVED = "error: this job was submitted from {folder}, which is not on this node: use a folder that all nodes share"


def setup_lines(setup: Sequence[str]) -> list[str]:
    """Return the lines that run before the work.

    The last one returns to the folder from which the job is submitted, so that relative paths in options mean the same
    in the job: SLURM takes another folder where that one is missing, and --setup may change it.
    """
    commands = [command for text in setup for command in _commands(text)]
    checked = [f"{{ {command}\n}} || setup_failed {shlex.quote(command.splitlines()[0])}" for command in commands]
    here = str(Path.cwd())
    back = f"cd {shlex.quote(here)} || {{ echo {shlex.quote(MOVED.format(folder=here))} >&2; exit 1; }}"
    return [*([FAILED] if checked else []), *checked, back]


def _commands(text: str) -> Iterator[str]:
    """Yield the commands of a shell text, each of one or more lines (if ... fi); UserError for half a command."""
    gathered: list[str] = []
    for line in text.strip().splitlines():
        gathered.append(line)
        command = "\n".join(gathered)
        if not (wrong := _syntax_error(command)):
            gathered = []
            if command.strip() and not command.lstrip().startswith("#"):
                yield command.strip()
    if gathered:
        raise UserError(f"--setup: expected complete commands of bash, found {gathered[0]!r}: {wrong}")


def _syntax_error(command: str) -> str:
    """Return what bash says about a command that is not complete; empty when it is."""
    if command.endswith("\\"):
        return "its last line ends with a backslash"
    try:
        shown = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True)
    except OSError:
        return ""  # without bash here, each line is a command
    return shown.stderr.strip().partition("\n")[0]
