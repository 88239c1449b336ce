"""Scores of one shard in a file that says what they were made from, so that those that still hold are not made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mammogan.files import read_json, write_json
from mammogan.writers import remove_torn_of

REASONS = {
    "scoring": "scored by another version",
    "cad_sha256": "the CAD changed",
    "real_sha256": "the real mammograms changed",
    "fake_sha256": "the altered mammograms changed",
    "truth_sha256": "what the phantoms know of their lesions changed",
    "controls": "controls measured by another version",
    "identity_sha256": "the identity-trained generator changed",
}
"""What it means that something of what scores are made from is another."""


def read_kept(path: Path, made_from: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Why the scores of a file have to be made, empty when they are there and current; and those that are there."""
    if not path.is_file():
        return "not scored yet", []
    made = read_json(path)
    changed = [REASONS[name] for name, value in made_from.items() if made["made_from"].get(name) != value]
    return ", ".join(changed), made["scores"]


def keep(path: Path, made_from: dict[str, Any], scores: list[dict[str, Any]]) -> None:
    remove_torn_of(path)
    write_json(path, {"made_from": made_from, "scores": scores})
