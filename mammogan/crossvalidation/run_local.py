"""Runs the studies of a cross-validation on this machine, one after the other, and then pools them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mammogan.crossvalidation.fold_study import FoldStudy
from mammogan.io.terminal import say
from mammogan.study.given_cad import record_given_cad
from mammogan.study.run_local import run as run_stages
from mammogan.study.stage import Stage, done_before, plan_state, tree
from mammogan.study.stage_jobs import check_stages


def run_all(studies: Sequence[FoldStudy], pool: Stage, root: Path, parallel: int) -> int:
    """Run the stages of every study that are not done, and pool; return 1 after a failure, else 0.

    A study begins when the one before it is done, so that a run that is stopped leaves complete studies. After a
    failure no other study begins.
    """
    for number, study in enumerate(studies):
        if _run(study, parallel):
            left = ", ".join(other.name for other in studies[number:])
            print(f"{study.place} failed; not done: {left}; the same command resumes from here", file=sys.stderr)
            return 1
    say(f"\npooling {len(studies)} studies: {root}")
    return run_stages([pool], 1, root / "study")


def _run(study: FoldStudy, parallel: int) -> int:
    say(f"\n{study.place}: {study.workspace.root}")
    study.link_shards()
    record_given_cad(study.workspace, study.plan.cad)
    done = done_before(study.stages)
    check_stages(study.stages, done, study.workspace, study.plan.hashes.of)
    say(tree(study.stages, lambda stage: plan_state(stage, study.stages, done)))
    return run_stages(study.stages, parallel, study.workspace.root / "study")


def commands(studies: Sequence[FoldStudy], pool: Stage) -> list[str]:
    """Return the command lines of all stages that are not done, as --dry-run prints them. The shards of a fold are
    named once."""
    lines: list[str] = []
    shown: set[tuple[str, ...]] = set()
    for study in studies:
        done = done_before(study.stages)
        left = [stage.command for stage in study.stages if stage.name not in done and stage.command not in shown]
        shown |= {*left}
        lines += [f"# {study.place}", *(" ".join(command) for command in left)]
    return lines if pool.name in done_before([pool]) else [*lines, "# all folds and seeds", " ".join(pool.command)]
