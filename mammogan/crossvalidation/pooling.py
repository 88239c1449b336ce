"""The last stage of a cross-validation, which pools the Table 1 of all folds and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.crossvalidation.fold_study import POOL, FoldStudy, pooled_table
from mammogan.io.atomic import sha256
from mammogan.study.commands import PYTHON, StudyCommand
from mammogan.study.outdated import requested
from mammogan.study.stage import Stage


def pool_stage(studies: Sequence[FoldStudy], root: Path, cluster: ClusterConfig) -> Stage:
    """Return the stage, which runs mammogan pool-folds with the threshold of the evaluations."""
    command, threshold = StudyCommand.load("pool-folds"), studies[0].evaluation.options.evaluation.threshold
    options: Any = command.options(
        tuple(study.workspace.root for study in studies), pooled_table(root).parent, threshold
    )
    settings = (f"--out={options.out}", f"--threshold={threshold}")
    words = (*PYTHON, command.name, *map(str, options.workspaces), *settings)
    return Stage(
        name=POOL,
        command=words,
        makes=(options.out / "pooled.json", options.out / "pooled.csv", options.out / "pooled.md"),
        outdated=partial(command.outdated, options, sha256),
        cluster=cluster,
        options=options,
        requested=requested(options, sha256),
        runs=command.name,
    )
