"""Runs the command ``mammogan`` as ``python -m mammogan COMMAND``."""

from mammogan.cli.main import main

if __name__ == "__main__":
    main()
