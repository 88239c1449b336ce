"""Run the complete study: shards, CAD, both GANs, adversarial mammograms, evaluation. Stages that are done are skipped.

    mammogan study --cohort labels.csv --workspace work --resolution low
    mammogan study --cohort labels.csv --workspace work/fold-2 --fold 2/5
    mammogan study --profile slurm/example.yaml --dry-run

On one machine the stages run one after the other, or several at once with --parallel; on SLURM all are submitted at
once, each waiting for the stages it needs, and stages with queued or running jobs are left alone. A stage whose
settings have changed runs again: it continues, makes its results again, or says why it cannot. Trainings that you
started yourself count if their settings are the same. A YAML file given with --config has each stage's own options in a
section, with parts for a direction or a resolution:

    cad: {epochs: 60, time: 12:00:00}
    gan: {pairs: 4, gpus-per-node: 4, insert: {gnet-every: 3}, low: {pairs: 8}}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn

from mammogan.cluster.backend import choose
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.data.cohort.folds import Fold
from mammogan.data.cohort.table import refuse_missing
from mammogan.data.conversion.fold_of_shards import division_of, refuse_other_fold
from mammogan.errors import UserError
from mammogan.io.atomic import Digest
from mammogan.io.options import Grouped, run
from mammogan.io.structure import Values, merged
from mammogan.io.terminal import say, say_on_stderr
from mammogan.study.given_cad import record_given_cad
from mammogan.study.pipeline import StudyPlan
from mammogan.study.run_local import run as run_stages
from mammogan.study.settings import read_sections
from mammogan.study.stage import Stage, check_writable, done_before, plan_state, tree
from mammogan.study.stage_jobs import check_stages, job_of, work_of
from mammogan.workspace import HIGH, LOW, Objective, Resolution, Workspace


@dataclass(frozen=True)
class Options:
    cohort: Path | None = None
    """Table of the mammograms (path, patient, laterality, view, label); needed until the shards are made."""
    workspace: Path = Path("work")
    """Folder that holds everything that the study makes."""
    fold: str = ""
    """K/N, such as 2/5: the study of the second of five folds, in which every patient is tested once. mammogan
    cross-validate runs all of them, and mammogan pool-folds pools their Table 1."""
    fold_seed: int = 0
    """Seed of the division into folds; the same in all folds of one cross-validation."""
    resolution: tuple[str, ...] = ()
    """high, low or HEIGHTxWIDTH, one or more; when not given, those that have shards, else high and low."""
    objective: tuple[Objective, ...] = ("study",)
    """What generators are trained for, one or both: study (as published), lesion (changes that act on the lesion)."""
    config: Path | None = None
    """YAML file with sections shards, cad, gan, generate, evaluate; a section wins over the options here."""
    cad: str = ""
    """The classifier to fool, in place of one that the study trains: a run folder, a folder of mammogan export-model, a
    checkpoint such as best.pt, or MODULE:FACTORY (docs/models.md)."""
    reading: bool = False
    """Also make what mammogan draw-reading needs for a reader study of the first objective: adversarial mammograms of
    validation and of one shard of training mammograms of each class."""
    parallel: int = 1
    """Stages that run at the same time on this machine and share its cores; 2 trains both GANs at once."""
    cluster: Grouped[ClusterConfig] = field(default=ClusterConfig())


def execute(options: Options) -> int:
    """Run or submit the stages that are not done, and print the state of all."""
    if options.parallel < 1:
        raise UserError(f"--parallel {options.parallel}: expected 1 or more")
    workspace = Workspace(options.workspace)
    backend = choose(options.cluster)
    say_on_stderr(str(backend))
    sections = read_sections(options.config)
    if options.fold:
        sections = with_fold(sections, Fold.parse(options.fold, options.fold_seed))
    chosen = resolutions(options.resolution, workspace)
    objectives = tuple(dict.fromkeys(options.objective))
    plan = StudyPlan(
        *(workspace, chosen, options.cohort, sections, options.cluster, backend.name),
        *(objectives, options.reading, options.cad),
    )
    check_fold(workspace, plan.shards_stage().options.of_fold, options.cohort)
    stages = plan.stages()
    folder = workspace.root / "study"
    done = done_before(stages)
    if options.cohort and stages[0].name not in done:  # its first stage makes the shards
        refuse_missing(options.cohort)
    check_stages(stages, done, workspace, plan.hashes.of)
    say(tree(stages, lambda stage: plan_state(stage, stages, done)))
    if not options.cluster.dry_run:
        check_writable(folder)
        record_given_cad(workspace, options.cad)
    if backend.name == "slurm":
        return on_slurm(stages, done, options, plan.hashes.of)
    if options.cluster.dry_run:
        say("\n".join(" ".join(stage.command) for stage in stages if stage.name not in done))
        return 0
    return run_stages(stages, options.parallel, folder)


def with_fold(sections: dict[str, Values], fold: Fold) -> dict[str, Values]:
    """Return the sections of the stages' settings, with shards of this fold."""
    return merged(sections, {"shards": {"fold": f"{fold.number}/{fold.of}", "fold-seed": fold.seed}})


def check_fold(workspace: Workspace, fold: Fold | None, cohort: Path | None) -> None:
    """Raise UserError at once if make-shards would refuse the shards that are there: they are of another fold, or none.

    Without a table shards are used as they are, and a note names their fold if the user has not.
    """
    if fold or cohort:
        refuse_other_fold(workspace, str(fold or ""))
    elif held := Fold.recorded(division_of(workspace)):
        say_on_stderr(f"note: the shards of {workspace.root} are of {held}, and are used as they are")


def resolutions(requested: tuple[str, ...], workspace: Workspace) -> tuple[Resolution, ...]:
    """Return the requested resolutions, else those that have shards, else high and low."""
    if requested:
        return tuple(dict.fromkeys(map(Resolution.parse, requested)))
    return tuple(workspace.resolutions()) or (HIGH, LOW)


def on_slurm(stages: list[Stage], done: set[str], options: Options, digest: Digest) -> int:
    """Submit the stages that are neither done, queued nor running, each after those it needs; print all stages with job
    ids.

    With --dry-run it prints the scripts instead.
    """
    from mammogan.cluster.slurm.submit import show_scripts
    from mammogan.cluster.slurm.wait import waited
    from mammogan.study.submit import scripts, submit_stages

    workspace = Workspace(options.workspace)
    work = partial(work_of, stages, workspace, digest=digest)
    if options.cluster.dry_run:
        show_scripts(scripts(stages, done, work))
        return 0
    jobs = {stage.name: job_of(stage, stages, workspace)[0] for stage in stages}
    found = submit_stages(stages, done, work, jobs)
    say(tree(stages, found.state_of))
    return waited(found.awaited(jobs)) if options.cluster.wait else 0


def main() -> NoReturn:
    run(Options, execute, __doc__, files=("profile",))
