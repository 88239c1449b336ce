"""Errors that a user can correct, which the commands print without a traceback, and the exit codes of commands."""

from __future__ import annotations

MISTAKE, INTERRUPTED = 2, 130
"""Exit codes: an error that the user can correct, and Ctrl-C."""
SOME_LEFT_OUT = 3
"""Exit code of mammogan make-shards when it left out unreadable files, which it names: a study continues without
them."""


class UserError(ValueError):
    """Reports something that a user can correct: what was expected, what was found and what to do."""


class MissingInput(UserError, FileNotFoundError):
    """Reports that a stage's input does not exist yet; the message names the command that makes it."""


class NotStarted(UserError):
    """Reports that the system starts no further process or thread for us."""

    def __init__(self, error: Exception) -> None:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        super().__init__(
            f"no further process can be started ({why}): the account or the machine allows no more processes (ulimit "
            "-u) or open files (ulimit -n), or memory is short. End other programs, or give fewer --jobs or "
            "--compute.loader-workers where the command has that option, and repeat the command: what is finished is "
            "kept"
        )
