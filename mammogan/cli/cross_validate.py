"""Run the study once for every fold and seed, and pool their Table 1. Stages that are done are skipped.

    mammogan cross-validate --cohort labels.csv --folds 5 --seeds 0 1 2 --workspace work/cv --resolution low
    mammogan cross-validate --cohort labels.csv --folds 5 --profile slurm/mine.yaml --dry-run
    mammogan watch --workspace work/cv

Every patient is tested in one fold, with all her images; positive patients and negative ones are divided each by
themselves. The study of fold K with seed S is in work/cv/fold-K-seed-S, a workspace like any other, and its trainings
have that seed. All seeds of a fold share the shards in work/cv/fold-K, which are converted once; they are links, so the
disk must keep symbolic links. The pooled table is work/cv/pooled/pooled.md: for every seed all folds are pooled, and it
has the mean and the range of the seeds, and beside them how much the folds differ.

On one machine the studies run one after the other. On SLURM all are submitted at once, and the job that pools waits for
their evaluations. Adversarial mammograms and scores are arrays, one a study; each training is a job of its own, since
it goes back to the queue by itself, and the slowest fold should not hold the others. The same command resumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from mammogan.cli.study import resolutions, with_fold
from mammogan.cluster.backend import Backend, choose
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.crossvalidation.fold_study import FoldStudy, fold_folder, pooled_table, study_folder
from mammogan.crossvalidation.pooling import pool_stage
from mammogan.crossvalidation.run_local import commands, run_all
from mammogan.data.cohort.folds import FEWEST, MOST, Fold, read_cohort
from mammogan.data.conversion.fold_of_shards import refuse_other_fold
from mammogan.errors import UserError
from mammogan.io.options import Grouped, run
from mammogan.io.structure import Values, merged
from mammogan.io.terminal import say, say_on_stderr
from mammogan.study.pipeline import StudyPlan
from mammogan.study.settings import read_sections
from mammogan.study.stage import check_writable
from mammogan.workspace import Objective, Workspace

SET_HERE = {"shards": ("fold", "fold_seed"), "cad": ("seed",), "gan": ("seed",)}
"""Settings of each section that the options here decide."""


@dataclass(frozen=True)
class Options:
    cohort: Path | None = None
    """Table of the mammograms (path, patient, laterality, view, label); needed until the shards of all folds are
    made."""
    workspace: Path = Path("work/cv")
    """Folder for the workspaces of all folds and seeds, and for the pooled table."""
    folds: int = 5
    """Number of folds. Each needs two positive and two negative patients or more."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the trainings, one or more: every fold is trained once with each."""
    fold_seed: int = 0
    """Seed of the division into folds."""
    resolution: tuple[str, ...] = ()
    """high, low or HEIGHTxWIDTH, one or more; when not given, those that have shards, else high and low."""
    objective: tuple[Objective, ...] = ("study",)
    """What generators are trained for, one or both: study (as published), lesion (changes that act on the lesion)."""
    config: Path | None = None
    """YAML file with sections shards, cad, gan, generate, evaluate, as for mammogan study; they are those of all
    studies."""
    cad: str = ""
    """The classifier to fool, in place of one that each study trains; see mammogan study. It must not have learned from
    any patient of the table, since all are tested."""
    parallel: int = 1
    """Stages of one study that run at the same time on this machine and share its cores; 2 trains both GANs at once."""
    cluster: Grouped[ClusterConfig] = field(default=ClusterConfig())


def execute(options: Options) -> int:
    """Run or submit what is not done of all studies, and pool them."""
    if options.parallel < 1:
        raise UserError(f"--parallel {options.parallel}: expected 1 or more")
    where = choose(options.cluster)
    say_on_stderr(str(where))
    studies = studies_of(options, where)
    pool = pool_stage(studies, options.workspace, options.cluster)
    if not options.cluster.dry_run:
        check_writable(options.workspace / "study")
    if where.name == "slurm":
        return on_slurm(studies, pool, options)
    if options.cluster.dry_run:
        say("\n".join(commands(studies, pool)))
        return 0
    code = run_all(studies, pool, options.workspace, options.parallel)
    return code or tell_pooled(options.workspace)


def studies_of(options: Options, where: Backend) -> list[FoldStudy]:
    """Return the studies of all folds and seeds; all seeds of a fold come one after the other.

    UserError for settings that cannot be, and before anything is written if there are too few patients for the folds.
    """
    if not FEWEST <= options.folds <= MOST:
        raise UserError(f"--folds {options.folds}: expected {FEWEST} to {MOST}")
    if not options.seeds or min(options.seeds) < 0 or len(set(options.seeds)) < len(options.seeds):
        found = " ".join(map(str, options.seeds)) or "none"
        raise UserError(f"--seeds {found}: expected one or more different numbers, 0 or above, such as 0 1 2")
    folds = [Fold(number, options.folds, options.fold_seed) for number in range(1, options.folds + 1)]
    for fold in folds:
        refuse_other_fold(Workspace(fold_folder(options.workspace, fold.number)), str(fold))
    if options.cohort:
        read_cohort(options.cohort, folds[0])
    sections = read_sections(options.config)
    refuse_set_here(sections, options.config)
    chosen = resolutions(options.resolution, Workspace(fold_folder(options.workspace, 1)))
    objectives = tuple(dict.fromkeys(options.objective))

    def plan(root: Path, fold: Fold, seed: int) -> StudyPlan:
        of_seed: Values = {"cad": {"seed": seed}, "gan": {"seed": seed}}
        own = with_fold(merged(sections, of_seed), fold)
        arguments = (Workspace(root), chosen, options.cohort, own, options.cluster, where.name)
        return StudyPlan(*arguments, objectives, cad=options.cad)

    studies = []
    for fold in folds:
        of_fold = plan(fold_folder(options.workspace, fold.number), fold, options.seeds[0])
        for number, seed in enumerate(options.seeds, 1):
            place = f"fold {fold.number} of {fold.of}, seed {number} of {len(options.seeds)}"
            root = study_folder(options.workspace, fold.number, seed)
            studies.append(FoldStudy(fold, seed, place, plan(root, fold, seed), of_fold))
    return studies


def refuse_set_here(sections: Mapping[str, Any], file: Path | None) -> None:
    """Raise UserError if the file of --config sets, anywhere in a section, what the options here decide."""
    for section, names in SET_HERE.items():
        if found := sorted(_keys(sections.get(section, {})) & set(names)):
            raise UserError(
                f"{file}: section {section}: {', '.join(found)}: expected no such key, since --folds, --fold-seed and "
                "--seeds decide it for every study; delete it"
            )


def _keys(values: Any) -> set[str]:
    if not isinstance(values, Mapping):
        return set()
    return {str(key).replace("-", "_") for key in values}.union(*map(_keys, values.values()))


def on_slurm(studies: list[FoldStudy], pool: Any, options: Options) -> int:
    """Submit everything, or with --dry-run print the scripts."""
    from mammogan.cluster.slurm.wait import waited
    from mammogan.crossvalidation.submit import show, submit_all

    if options.cluster.dry_run:
        show(studies, pool, options.workspace)
        return 0
    submitted = submit_all(studies, pool, options.workspace)
    if not options.cluster.wait:
        return 0
    return waited(submitted) or tell_pooled(options.workspace)


def tell_pooled(root: Path) -> int:
    """Print where the pooled table is; return 0."""
    say(f"the pooled table: {pooled_table(root)}")
    return 0


def main() -> NoReturn:
    run(Options, execute, __doc__, files=("profile",))
