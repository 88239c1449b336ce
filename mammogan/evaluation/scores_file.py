"""Keep the scores of one shard in a file that records what they were made from, so that current scores are reused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mammogan.data.shards.marked_folder import MarkedFolder
from mammogan.io.records import build_entries

T = TypeVar("T")
SHAPE = {"made_from": dict, "scores": [dict]}
REMEDY = "Delete it and repeat mammogan evaluate, which scores its shard again"
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


def scores_in(folder: Path) -> MarkedFolder:
    """Return a folder of scores; the file of a shard is its own marker, and the report is their index."""
    return MarkedFolder(folder, None, SHAPE, REMEDY)


def read_kept(path: Path, made_from: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Return why the scores of a file have to be made, or "" if they are current, and the scores in the file.

    Raise UserError if the file is damaged.
    """
    made = scores_in(path.parent).read(path.name)
    if made is None:
        return "not scored yet", []
    changed = [REASONS[name] for name, value in made_from.items() if made["made_from"].get(name) != value]
    return ", ".join(changed), made["scores"]


def understood(path: Path, make: Callable[[dict[str, Any]], T], scores: list[dict[str, Any]]) -> list[T]:
    """Build objects from the scores of a file. Raise UserError if the file is damaged."""
    return build_entries(path, make, scores, REMEDY)


def keep(path: Path, made_from: dict[str, Any], scores: list[dict[str, Any]]) -> None:
    """Write scores together with what they were made from."""
    scores_in(path.parent).finish(path.name, {"made_from": made_from, "scores": scores})
