"""Serves a reading folder: ``python -m mammogan.reader FOLDER``, for a machine that has little else installed."""

from mammogan.io.options import run
from mammogan.reader.serving.serve import HELP, Options, execute

if __name__ == "__main__":
    run(Options, execute, HELP)
