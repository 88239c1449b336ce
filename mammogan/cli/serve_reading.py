"""The command ``mammogan serve-reading``; mammogan.reader.serving.serve does its work."""

from __future__ import annotations

from typing import NoReturn

from mammogan.io.options import run
from mammogan.reader.serving.serve import HELP, Options, execute


def main() -> NoReturn:
    run(Options, execute, HELP)
