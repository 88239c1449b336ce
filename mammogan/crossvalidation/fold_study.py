"""The study of one fold with one seed. All seeds of a fold share its shards, which are converted once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mammogan.data.cohort.folds import Fold
from mammogan.errors import UserError
from mammogan.study.pipeline import StudyPlan
from mammogan.study.stage import Stage
from mammogan.study.stage_files import StageFiles
from mammogan.workspace import Workspace

EVALUATION = "evaluate-test"
"""The stage whose results are pooled."""
POOL = "pool"
"""Name of the stage that pools them."""
SHARED = ("shards", "study/shards", "cohort.csv")
"""What the workspaces of a fold's seeds have as links to the folder of the fold: its shards, the record of the jobs
that make them, and the table with the splits."""
NAME = re.compile(r"fold-(\d+)-seed-(\d+)")


def fold_folder(root: Path, fold: int) -> Path:
    """Return the folder that has the shards of a fold."""
    return root / f"fold-{fold}"


def study_folder(root: Path, fold: int, seed: int) -> Path:
    """Return the workspace of the study of one fold with one seed."""
    return root / f"fold-{fold}-seed-{seed}"


def pooled_table(root: Path) -> Path:
    """Return the table over all folds and seeds, as people read it."""
    return root / "pooled" / "pooled.md"


def pool_files(root: Path) -> StageFiles:
    """Return the files of the last stage, which pools the Table 1 of all studies."""
    own, study = pooled_table(root).parent, root / "study"
    return StageFiles(name=POOL, kind="pool", folder=own, records=(own, study / POOL), log=study / f"{POOL}.log")


def study_folders(root: Path) -> list[Path]:
    """List the workspaces of all folds and seeds of a cross-validation, in the order of their numbers."""
    found = {path: match for path in root.glob("fold-*") if (match := NAME.fullmatch(path.name)) and path.is_dir()}
    return sorted(found, key=lambda path: tuple(map(int, found[path].groups())))


@dataclass(frozen=True)
class FoldStudy:
    """The study of one fold with one seed."""

    fold: Fold
    seed: int
    place: str
    """Where it stands among all studies, such as 'fold 2 of 5, seed 1 of 3'."""
    plan: StudyPlan
    of_fold: StudyPlan
    """The same plan for the folder of the fold, where the shards are made."""

    @property
    def workspace(self) -> Workspace:
        return self.plan.workspace

    @property
    def name(self) -> str:
        """Name of its folder, which begins the names of its jobs."""
        return self.workspace.root.name

    @property
    def stages(self) -> list[Stage]:
        """The stages of the study; the first one makes the shards of the fold."""
        (own, *others), of_fold = self._own_stages, self._shards_of_fold
        is_linked = self._link(SHARED[0]).exists()
        # Its jobs are recorded in study/shards alone, which is a link to the folder of the fold.
        return [replace(of_fold, makes=own.makes if is_linked else of_fold.makes, recorded=()), *others]

    @cached_property
    def _own_stages(self) -> list[Stage]:
        stages = self.plan.stages()
        if EVALUATION not in [stage.name for stage in stages]:
            raise UserError("evaluate: split: expected test, since a cross-validation pools the test splits")
        return stages

    @cached_property
    def _shards_of_fold(self) -> Stage:
        return self.of_fold.shards_stage()

    def _link(self, name: str) -> Path:
        return self.workspace.root / name

    @property
    def evaluation(self) -> Stage:
        """The stage whose results are pooled."""
        return next(stage for stage in self.stages if stage.name == EVALUATION)

    def link_shards(self) -> None:
        """Link the shards of the fold into this study's workspace. UserError if something else is in their place."""
        for name in SHARED:
            link, target = self._link(name), self.of_fold.workspace.root / name
            link.parent.mkdir(parents=True, exist_ok=True)
            (target.parent if target.suffix else target).mkdir(parents=True, exist_ok=True)
            if link.resolve() == target.resolve():
                continue
            if os.path.lexists(link):
                raise UserError(
                    f"{link} is there already and is no link to {target}: all seeds of a fold share its shards. Give "
                    "another --workspace, or remove the folder of this study"
                )
            try:
                link.symlink_to(os.path.relpath(target.absolute(), link.parent.absolute()))
            except OSError as error:
                raise UserError(
                    f"{link} cannot be made a link to {target} ({error.strerror}), by which the seeds of a fold share "
                    "its shards: give a --workspace on a disk that keeps symbolic links"
                ) from error
