"""Score original and adversarial mammograms with the CAD, and write the report with Table 1.

    mammogan evaluate --workspace work
    mammogan evaluate --workspace work --split validation --profile slurm/example.yaml
    mammogan evaluate --workspace work --only-original      how well the CAD reads them, without any attack
    mammogan evaluate --workspace films/work --models work --out-of-domain "film, models from phantoms"

The report goes to WORKSPACE/report/: open index.html. The numbers, with intervals, are in table1.json, table1.csv,
table1.md and predictions.csv beside it.

Each task scores one shard. Scores that exist and still match their mammograms and their CAD are kept, so the same
command continues a stopped run. On SLURM the tasks are an array, followed by a job that writes the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from mammogan.attack.config import EvaluateConfig, report_folder
from mammogan.cluster.job import Array, Job
from mammogan.cluster.launch import launch_array, on_requested_device
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Call
from mammogan.evaluation.predictions import DONE, PREDICTIONS_SHA256
from mammogan.evaluation.score_plan import FILES, PREDICTIONS, ScoreTask, scorings, settings_of_report, withdraw_report
from mammogan.io.atomic import Digest, sha256
from mammogan.io.options import Flat, Grouped, Internal, run
from mammogan.io.own_files import file_exists
from mammogan.io.records import read_record
from mammogan.io.terminal import say
from mammogan.study.outdated import first_of, other_options
from mammogan.study.shares import share_of, work_through
from mammogan.study.stage_files import record_folders
from mammogan.workspace import Workspace


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder that holds shards, runs and adversarial mammograms; the report is written there too."""
    config: Path | None = None
    """YAML file with values for these options."""
    evaluation: Flat[EvaluateConfig] = field(default=EvaluateConfig())
    only_original: bool = False
    """Score the original mammograms alone, in this process, and say AUC, sensitivity and specificity: no generators and
    no adversarial mammograms are needed. The probabilities go to originals-<resolution>.csv in the report's folder."""
    share: Internal[str] = ""
    """K/N: score every N-th shard, starting with the K-th (counted from 1), in this process and without a report. If
    one shard fails, the others are still scored. Each task of a study's array does this; the same command without
    --share completes the work."""
    cluster: Grouped[ClusterConfig] = field(default=ClusterConfig())


def execute(options: Options) -> int:
    """Score what is missing and write the report, here or as SLURM jobs."""
    if options.only_original:
        from mammogan.evaluation.original_scores import score_originals

        score_originals(Workspace(options.workspace), on_requested_device(options.evaluation, options.cluster))
        return 0
    workspace, config, tasks = plans(options)
    if options.share:
        work_through({task.title: Call(score, (task,)) for task in tasks})
        return 0
    missing = [task for task in tasks if task.outdated()]
    say(f"{len(tasks) - len(missing)} of {len(tasks)} shards are scored")
    if missing:
        if not options.cluster.dry_run:
            withdraw_report(workspace, config.split)
        return launch_array(array_of(workspace, config, missing), options.cluster)
    if not options.cluster.dry_run:
        write(workspace, config)
    return 0


def outdated(options: Options, digest: Digest) -> str:
    """Return why the report has to be made (again); empty when all scores and the report are current."""
    workspace, config, tasks = plans(options, digest)
    if reasons := [f"{task.title}: {why}" for task in tasks if (why := task.outdated())]:
        return first_of(reasons)
    folder = report_folder(workspace, config.split)
    done = read_record(folder / "done.json", DONE)
    if lost := [name for name in done.get("files", FILES) if not file_exists(folder / name)]:
        return f"{', '.join(lost)} of the report not there"
    if done.get(PREDICTIONS_SHA256, digest(folder / PREDICTIONS)) != digest(folder / PREDICTIONS):
        return f"{PREDICTIONS} of the report changed after it was written"
    return other_options(done.get("settings", {}), settings_of_report(config))


def arrays(options: Options, digest: Digest = sha256) -> list[Array]:
    """Return the missing scores as an array; nothing if none is missing."""
    workspace, config, tasks = plans(options, digest)
    missing = [task for task in tasks if task.outdated()]
    return [array_of(workspace, config, missing)] if missing else []


def plans(options: Options, digest: Digest = sha256) -> tuple[Workspace, EvaluateConfig, list[ScoreTask]]:
    """Return the workspace, the settings and one task per shard: all shards, or those of the share."""
    workspace = Workspace(options.workspace)
    config = on_requested_device(options.evaluation, options.cluster)
    shards = [(scoring, shard) for scoring in scorings(workspace, config, digest) for shard in scoring.shards]
    own = share_of(shards, options.share) if options.share else shards
    return workspace, config, [scoring.task(shard) for scoring, shard in own]


def array_of(workspace: Workspace, config: EvaluateConfig, missing: Sequence[ScoreTask]) -> Array:
    """Return an array that scores the missing shards, with a last job that reports on all scores."""
    folder = workspace.scores(config.split)
    done = report_folder(workspace, config.split) / "done.json"
    last = Job("evaluate-report", Call(write, (workspace, config)), folder, done)
    makes = [task.title for task in missing]
    tasks = [Call(score, (task,)) for task in missing]
    recorded = record_folders(workspace, folder, f"evaluate-{config.split}")
    return Array("evaluate", tasks, folder, last, makes=makes, recorded=recorded)


def score(task: ScoreTask) -> None:
    from mammogan.evaluation.scoring import score_shard

    score_shard(task)


def write(workspace: Workspace, config: EvaluateConfig) -> None:
    from mammogan.evaluation.evaluate import report

    report(workspace, config)


def main() -> NoReturn:
    run(Options, execute, __doc__)
