"""Find out which workspaces are the folds and seeds of one cross-validation, and refuse those that are not of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.data.cohort.folds import Fold
from mammogan.data.cohort.workspace_table import REMEDY, rows_by_key
from mammogan.data.conversion.fold_of_shards import division_of
from mammogan.errors import MissingInput, UserError
from mammogan.io.own_files import file_exists, in_folders
from mammogan.io.records import DamagedRecord, read_yaml_record
from mammogan.workspace import Workspace

ADVICE = "make all folds from one table with mammogan cross-validate, mammogan study --fold or mammogan fold-tables"


@dataclass(frozen=True)
class FoldWorkspace:
    """The workspace of one fold, and what its files say of it."""

    path: Path
    labels: Mapping[str, str]
    """Label of every mammogram of the table, by its file."""
    tests: frozenset[str]
    """Files of the test split."""
    fold: Fold | None
    """None if the splits came with the table, as those of mammogan fold-tables do."""
    seed: str
    """Seed of the trainings, such as '0'; all of them if they differ, and empty if there are none here."""

    @classmethod
    def read(cls, path: Path) -> FoldWorkspace:
        """Read a workspace. Raise MissingInput if it has no table, UserError if a patient is in two splits."""
        workspace = Workspace(path)
        if not file_exists(workspace.cohort):
            raise MissingInput(f"{path} is no workspace of a fold: expected {workspace.cohort}")
        rows = list(rows_by_key(workspace.cohort).values())
        if missing := [name for name in ("patient", "label", "split") if name not in rows[0]]:
            raise DamagedRecord(workspace.cohort, f"it has no column {', '.join(missing)}", REMEDY)
        splits: dict[str, str] = {}
        for row in rows:
            if splits.setdefault(row["patient"], row["split"]) != row["split"]:
                raise UserError(
                    f"{workspace.cohort}: patient {row['patient']} is in {splits[row['patient']]} and in "
                    f"{row['split']}; expected all images of a patient in one split: {ADVICE}"
                )
        return cls(
            path,
            {row["path"]: row["label"] for row in rows},
            frozenset(row["path"] for row in rows if row["split"] == "test"),
            Fold.recorded(division_of(workspace)),
            _seed_of(workspace),
        )

    def __str__(self) -> str:
        return f"{self.path} ({self.fold})" if self.fold else str(self.path)


def by_seed(paths: Sequence[Path]) -> dict[str, list[FoldWorkspace]]:
    """Return the workspaces of each seed, one a fold, in the order of the folds. Where every fold is there once, the
    seed does not matter: all are of one.

    Raise UserError, which names them, if they are not all folds of one cross-validation, each once for every seed.
    """
    if len(paths) < 2:
        raise UserError(f"expected the workspaces of two or more folds, found {len(paths)}")
    found = [FoldWorkspace.read(path) for path in paths]
    for one in found[1:]:
        _refuse_other_table(found[0], one)
    _refuse_other_division([one for one in found if one.fold])
    order = sorted(found, key=lambda one: one.fold.number if one.fold else 0)
    folds = list(dict.fromkeys(one.tests for one in order))
    seeds = sorted({one.seed for one in found}, key=lambda seed: (len(seed), seed))
    if len(folds) == len(found):
        grouped = {", ".join(filter(None, seeds)): dict(zip(folds, order, strict=True))}
    else:
        grouped = {seed: _one_a_fold([one for one in order if one.seed == seed]) for seed in seeds}
    _refuse_overlaps(order)
    _refuse_missing(grouped, folds, order)
    return {seed: [of_fold[tests] for tests in folds] for seed, of_fold in grouped.items()}


def _refuse_other_table(one: FoldWorkspace, other: FoldWorkspace) -> None:
    more, fewer = len(other.labels.keys() - one.labels.keys()), len(one.labels.keys() - other.labels.keys())
    changed = sum(one.labels[file] != other.labels[file] for file in one.labels.keys() & other.labels.keys())
    if more or fewer or changed:
        raise UserError(
            f"{other} has another table of mammograms than {one}: {more} that it lacks, {fewer} fewer, {changed} with "
            f"another label. Folds of one cross-validation have one table: {ADVICE}"
        )


def _refuse_other_division(found: Sequence[FoldWorkspace]) -> None:
    """Raise UserError if two recorded folds are not of one division: another number of folds, or another seed."""
    for one in found[1:]:
        if one.fold and found[0].fold and (one.fold.of, one.fold.seed) != (found[0].fold.of, found[0].fold.seed):
            raise UserError(
                f"{one} and {found[0]} are not folds of one cross-validation: expected the same number of folds and "
                "the same --fold-seed in all"
            )


def _one_a_fold(found: Sequence[FoldWorkspace]) -> dict[frozenset[str], FoldWorkspace]:
    """Return the workspaces of one seed by what they test; UserError if two of them test the same."""
    folds: dict[frozenset[str], FoldWorkspace] = {}
    for one in found:
        if (earlier := folds.setdefault(one.tests, one)) is not one:
            trained = f" and were trained with the same seed {one.seed}" if one.seed else ""
            raise UserError(
                f"{earlier} and {one} test the same mammograms{trained}: expected each fold once for every seed; "
                "leave one of them out"
            )
    return folds


def _refuse_overlaps(found: Sequence[FoldWorkspace]) -> None:
    """Raise UserError if two workspaces have some test mammograms in common and others not."""
    tested: dict[str, FoldWorkspace] = {}
    for one in found:
        for file in one.tests:
            earlier = tested.setdefault(file, one)
            if earlier.tests != one.tests:
                raise UserError(
                    f"{earlier} and {one} test {len(earlier.tests & one.tests)} of the same mammograms, so they divide "
                    f"the patients in different ways and are not two folds of one cross-validation: {ADVICE}"
                )


def _refuse_missing(
    grouped: Mapping[str, Mapping[frozenset[str], FoldWorkspace]],
    folds: Sequence[frozenset[str]],
    found: Sequence[FoldWorkspace],
) -> None:
    """Raise UserError if a mammogram is tested in no fold, or a seed lacks a fold that another one has."""
    all_files = found[0].labels.keys()
    if left := all_files - frozenset().union(*folds):
        recorded = [one.fold for one in found if one.fold]
        numbers = {fold.number for fold in recorded}
        absent = [str(n) for n in range(1, recorded[0].of + 1) if n not in numbers] if recorded else []
        which = f"fold {', '.join(absent)} of {recorded[0].of}" if absent else "at least one fold"
        raise UserError(
            f"{which} is missing: {len(left)} of {len(all_files)} mammograms are tested in none of these workspaces. "
            "Give the workspaces of all folds"
        )
    for seed, of_fold in grouped.items():
        lacking = [one for one in found if one.tests not in of_fold]
        if lacking:
            raise UserError(
                f"seed {seed or 'unknown'} lacks the fold of {lacking[0]}: expected every fold for every seed. Give "
                "its workspace too, or leave out those of this seed"
            )


def _seed_of(workspace: Workspace) -> str:
    configs = in_folders(workspace.root, "runs/*", "config.yaml")
    seeds = {str(read_yaml_record(config, {"config?": dict}).get("config", {}).get("seed", 0)) for config in configs}
    return " and ".join(sorted(seeds, key=lambda seed: (len(seed), seed)))
