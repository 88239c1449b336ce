"""What a user can mend, told without a traceback."""

from __future__ import annotations


class UserError(ValueError):
    """Something a user can mend: the message says what was expected, what was found and what to do."""


class MissingInput(UserError, FileNotFoundError):
    """A stage's input is not there yet; the message names the command that makes it."""
