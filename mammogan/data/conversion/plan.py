"""Plan the shards of a cohort: the name of each, its rows, and the settings that each was made with."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mammogan.data.cohort.cohort import Mammogram, assign
from mammogan.data.cohort.folds import Fold, read_cohort
from mammogan.data.cohort.growth import additions, continued, held_in, of_addition
from mammogan.data.cohort.pseudonyms import Pseudonyms, load_salt
from mammogan.data.cohort.table import Row
from mammogan.data.conversion.additions import added_to
from mammogan.data.conversion.shard_settings import COHORT, all_held_settings, held_settings
from mammogan.data.shards.index import ADDITIONS
from mammogan.data.shards.marked_folder import DONE
from mammogan.errors import UserError
from mammogan.io.own_files import file_exists
from mammogan.left_by_others import ours_in
from mammogan.workspace import LABELS, SPLITS, Workspace

Plan = dict[str, list[Mammogram]]
NOT_IN_SHARDS = ("path", "line", "addition", "lesion_regions")
"""What a row has that no shard has."""


def plan_shards(mammograms: Sequence[Mammogram], shard_images: int) -> Plan:
    """Plan the shards: the name of each, <split>-<label>-<number>, and its rows, all of one addition."""
    plan: Plan = {}
    for split in SPLITS:
        for label in reversed(LABELS):
            numbers = Counter[str]()
            for addition in (0, *additions(mammograms)):
                rows = [r for r in of_addition(mammograms, addition) if (r.split, r.label) == (split, label)]
                for start in range(0, len(rows), shard_images):
                    plan[f"{split}-{label}-{numbers['next']:06d}"] = rows[start : start + shard_images]
                    numbers["next"] += 1
    return plan


def planned(
    cohort_csv: Path,
    workspace: Workspace,
    seed: int,
    shard_images: int,
    overwrite: bool = False,
    fold: Fold | None = None,
) -> list[str]:
    """List the names of the shards that a table will give. Raises UserError for a table with faults.

    A shard of this list is missing in the end if all its files are unusable.
    """
    rows = read_cohort(cohort_csv, fold)
    salt = load_salt(workspace.salt) if file_exists(workspace.salt) else b"names do not matter"
    growing = () if overwrite else folders_of(workspace, division(rows, seed, fold))
    mammograms = pseudonymous(rows, cohort_csv, workspace, Pseudonyms(salt), seed, growing)
    return list(plan_shards(mammograms, shard_images))


def pseudonymous(
    rows: Sequence[Row], cohort_csv: Path, workspace: Workspace, names: Pseudonyms, seed: int, growing: Sequence[Path]
) -> list[Mammogram]:
    """Split the rows and give them pseudonyms.

    If there are folders of shards that may be ``growing``, their rows come first and their patients stay in their
    splits.
    """
    if not growing:
        return assign(rows, cohort_csv.parent, names, seed)
    held = held_in(workspace.cohort)
    if not held.additions and (had := max(len(added_to(held_settings(folder) or {})) for folder in growing)):
        raise _order_is_lost(workspace, had)
    return continued(assign(rows, cohort_csv.parent, names, seed, held.splits), held)


def _order_is_lost(workspace: Workspace, additions: int) -> UserError:
    return UserError(
        f"{workspace.cohort} is missing or damaged. Mammograms were added to this workspace ({additions} time"
        f"{'s' * (additions > 1)}), and which came when is in that file alone, so the shards cannot be continued from "
        "the table. Bring the file back from a copy. Without one, the shards can still be trained on, altered and "
        "evaluated as they are; to add mammograms, give another --workspace, or --overwrite, which makes all shards "
        "again and divides the patients anew: trainings that are there then belong to other splits"
    )


def division(rows: Sequence[Row], seed: int, fold: Fold | None = None) -> str:
    """Return how the patients are divided into splits, as the settings of the shards record it."""
    if fold:
        return str(fold)
    return "of the table" if rows[0].split else f"seed {seed}"


def folders_of(workspace: Workspace, divided: str) -> list[Path]:
    """List the folders of this workspace with shards of a cohort that is ``divided`` in this way."""
    found = [folder for folder, held in all_held_settings(workspace).items() if held.get("split") == divided]
    return [folder for folder in found if ours_in(folder, f"{DONE}/*.json")]


def of_cohort(mammograms: Sequence[Mammogram]) -> dict[str, Any]:
    """Return what the settings record of a cohort: the fingerprint of its first table, and of each addition to it."""
    later = [fingerprint(of_addition(mammograms, addition)) for addition in additions(mammograms)]
    return {COHORT: fingerprint(of_addition(mammograms, 0)), **({ADDITIONS: later} if later else {})}


def fingerprint(mammograms: Sequence[Mammogram]) -> str:
    """Hash (sha256) everything that the shards take from the rows, and their order."""
    taken = [[value for name, value in sorted(vars(m).items()) if name not in NOT_IN_SHARDS] for m in mammograms]
    return hashlib.sha256(json.dumps(taken).encode()).hexdigest()


def describe_additions(mammograms: Sequence[Mammogram]) -> list[dict[str, int]]:
    """Count the rows of each addition, and the patients who came with it."""
    counted, known = [], {row.patient for row in of_addition(mammograms, 0)}
    for addition in additions(mammograms):
        rows = of_addition(mammograms, addition)
        patients = {row.patient for row in rows} - known
        counted.append({"rows": len(rows), "patients": len(patients)})
        known |= patients
    return counted
