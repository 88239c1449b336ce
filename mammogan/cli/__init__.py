"""One module per command, with its options and what it runs. mammogan, launch/ and shards/ start them."""

import sys
from importlib.util import find_spec

if find_spec("tyro") is None:  # every command needs it; so this Python is not the one that MammoGAN was installed for
    sys.exit(f"error: {sys.executable} lacks MammoGAN's packages: source .venv/bin/activate, or make install")
