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
