"""Starts the command ``mammogan``, which has a subcommand for every step of the study."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

from mammogan.errors import MISTAKE

COMMANDS = {
    "demo": "the complete study on phantoms, small, on this machine",
    "study": "shards, CAD, both GANs, adversarial mammograms and Table 1, on this machine or on SLURM",
    "cross-validate": "the study once for every fold and seed, pooled",
    "watch": "show the status of every stage of a study",
    "cluster-doctor": "check a cluster with a job of two minutes, and say what to write into the profile",
    "scan": "make the table of mammograms of a public archive, or of your own files",
    "join-tables": "join the tables of several archives into one",
    "fold-tables": "divide a table for cross-validation, one table a fold",
    "make-shards": "convert DICOM mammograms to the shards that every later stage reads",
    "check-shards": "check finished shards and draw a page of them",
    "preview": "draw mammograms of a shard, flagged ones, or those that were left out",
    "train-cad": "train the classifier",
    "train-gan": "train the generators that remove and insert cancer",
    "export-model": "export a trained network with a model card, to be handed on",
    "generate": "write the adversarial mammograms",
    "evaluate": "score original and adversarial mammograms, and write Table 1 and the report",
    "evaluate-deeper": "measure what Table 1 leaves open: thresholds, other attacks, other classifiers",
    "pool-folds": "pool the Table 1 of all folds of a cross-validation",
    "verify": "say whether a PNG, DICOM file or shard was made here and is unchanged",
    "draw-reading": "draw the five sessions of a reader study",
    "serve-reading": "show a drawn reader study to radiologists in their browsers, and keep their answers",
    "reading-tables": "make Tables 2 to 4 of a reader study, and a page that shows them",
    "simulate-reading": "let simulated readers read a drawn study, as a rehearsal",
    "detector-reading": "let detectors that see only pixels read a drawn study, to stand beside the readers",
    "make-phantom": "make a cohort of phantom mammograms with known lesions",
    "list-films": "make the table of eight real film mammograms",
}
"""Name and purpose of each subcommand; each is a module of this package, with underscores for hyphens."""


def main() -> NoReturn:
    """Run the subcommand that the first word names, with the other words as its options."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        sys.exit(0 if words else MISTAKE)
    if words[0] == "--version":
        from mammogan import __version__

        print(__version__)
        sys.exit(0)
    if words[0] not in COMMANDS:
        print(f"error: mammogan {words[0]}: no such command\n\n{overview()}", file=sys.stderr)
        sys.exit(MISTAKE)
    sys.argv = [f"mammogan {words[0]}", *words[1:]]
    importlib.import_module(f"mammogan.cli.{words[0].replace('-', '_')}").main()
    raise AssertionError("a command ends by exiting")


def overview() -> str:
    """Return what --help prints: every subcommand and its purpose."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        [
            "usage: mammogan COMMAND [OPTIONS]     (mammogan COMMAND --help explains one)",
            "",
            "Can a GAN that inserts or removes cancer in a mammogram fool a classifier, and who would notice?",
            "",
            *lines,
        ]
    )
