"""Errors that a user can correct; the commands print them without a traceback."""

from __future__ import annotations


class UserError(ValueError):
    """Reports something that a user can correct: what was expected, what was found and what to do."""


class MissingInput(UserError, FileNotFoundError):
    """Reports that a stage's input does not exist yet; the message names the command that makes it."""
