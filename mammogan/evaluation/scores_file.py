"""Keep the scores of one shard in a file that records what they were made from, so that current scores are reused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mammogan.io.atomic import read_json, write_json
from mammogan.io.temporary import remove_abandoned_of

REASONS = {
    "scoring": "scored by another version",
    "cad_sha256": "the CAD changed",
    "real_sha256": "the real mammograms changed",
    "fake_sha256": "the adversarial mammograms changed",
    "truth_sha256": "the phantoms' record of their lesions changed",
    "controls": "controls measured by another version",
    "identity_sha256": "the identity-trained generator changed",
}
"""Why scores are outdated, by the name of the input that differs."""


def read_kept(path: Path, made_from: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Return why the scores of a file have to be made, or "" if they are current, and the scores in the file."""
    if not path.is_file():
        return "not scored yet", []
    made = read_json(path)
    changed = [REASONS[name] for name, value in made_from.items() if made["made_from"].get(name) != value]
    return ", ".join(changed), made["scores"]


def keep(path: Path, made_from: dict[str, Any], scores: list[dict[str, Any]]) -> None:
    """Write scores together with what they were made from."""
    remove_abandoned_of(path)
    write_json(path, {"made_from": made_from, "scores": scores})
