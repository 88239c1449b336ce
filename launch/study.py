"""Run the whole study: shards, CAD, both GANs, altered mammograms, evaluation; what is done is skipped.

On one machine the stages run in order, with --parallel side by side; on SLURM all are submitted at once, each waiting
for those it needs, and what is on its way already is left alone. A stage whose settings have changed since is run
again: it goes on, makes anew, or says why it cannot. Trainings done by hand count, if their settings are these. A YAML
file given with --config has the stages' own options by section, with parts for a direction or a resolution:

    cad: {epochs: 60, time: 12:00:00}
    gan: {pairs: 4, gpus-per-node: 4, insert: {gnet-every: 3}, low: {pairs: 8}}

    python launch/study.py --cohort labels.csv --workspace work --resolution low
    python launch/study.py --profile slurm/example.yaml --dry-run
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mammogan.cluster.line import Line, read_sections
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.side_by_side import run as run_stages
from mammogan.cluster.stage_jobs import check_trainings, job_of, work_of
from mammogan.cluster.study import Stage, check_writable, done_before, plan_state, tree
from mammogan.cluster.where import choose, note
from mammogan.command_line import Flat, run
from mammogan.config import HIGH, LOW, Objective, Resolution, UserError, Workspace
from mammogan.terminal import say


@dataclass(frozen=True)
class Options:
    cohort: Path | None = None
    """Table of the mammograms (path, patient, laterality, view, label); needed until the shards are made."""
    workspace: Path = Path("work")
    resolution: tuple[str, ...] = ()
    """high, low or HEIGHTxWIDTH, one or more; left out: those that have shards, else high and low."""
    objective: tuple[Objective, ...] = ("study",)
    """What generators are trained for, one or both: study as published, lesion for changes that act on the lesion."""
    config: Path | None = None
    """YAML file with sections shards, cad, gan, generate, evaluate; a section wins over the options here."""
    parallel: int = 1
    """Stages side by side on this machine, sharing its cores; 2 trains both GANs at once."""
    cluster: Flat[ClusterConfig] = field(default=ClusterConfig())


def main(options: Options) -> int:
    if options.parallel < 1:
        raise UserError(f"--parallel {options.parallel}: expected 1 or more")
    workspace = Workspace(options.workspace)
    where = choose(options.cluster)
    note(f"--cluster {where.name} ({where.why})")
    sections = read_sections(options.config)
    root = Path(__file__).resolve().parent.parent
    chosen = resolutions(options.resolution, workspace)
    objectives = tuple(dict.fromkeys(options.objective))
    line = Line(root, workspace, chosen, options.cohort, sections, options.cluster, where.name, objectives)
    stages = line.stages()
    folder = workspace.root / "study"
    done = done_before(stages, folder)
    check_trainings(stages, done, workspace)
    say(tree(stages, lambda stage: plan_state(stage, stages, done, folder)))
    if not options.cluster.dry_run:
        check_writable(folder)
    if where.name == "slurm":
        return on_slurm(stages, done, options)
    if options.cluster.dry_run:
        say("\n".join(" ".join(stage.command) for stage in stages if stage.name not in done))
        return 0
    return run_stages(stages, options.parallel, folder)


def resolutions(asked: tuple[str, ...], workspace: Workspace) -> tuple[Resolution, ...]:
    if asked:
        return tuple(dict.fromkeys(map(Resolution.parse, asked)))
    return tuple(workspace.resolutions()) or (HIGH, LOW)


def on_slurm(stages: list[Stage], done: set[str], options: Options) -> int:
    """Submit what is neither done nor on its way, each after what it needs, or with --dry-run print the scripts; then
    the tree with the jobs' ids."""
    from mammogan.cluster.submit_study import scripts, submit_stages
    from mammogan.cluster.submitted import waited

    workspace = Workspace(options.workspace)
    work = partial(work_of, stages, workspace)
    if options.cluster.dry_run:
        say("\n".join(scripts(stages, done, work)))
        return 0
    jobs = {stage.name: job_of(stage, stages, workspace)[0] for stage in stages}
    found = submit_stages(stages, done, work, jobs, workspace.root / "study")
    say(tree(stages, found.told))
    return waited(found.awaited(jobs)) if options.cluster.wait else 0


if __name__ == "__main__":
    run(Options, main, __doc__, files=("profile",))
