"""Score real and altered mammograms with the CAD and write WORKSPACE/report/: Table 1 with intervals, and a page.

One task scores one shard; scores that are there and still match their mammograms and their CAD are left alone, so the
same command goes on where it was stopped. On SLURM the tasks are an array, followed by a job that writes the report.

    python launch/evaluate.py --workspace work
    python launch/evaluate.py --workspace work --split validation --profile slurm/example.yaml
    python launch/evaluate.py --workspace films/work --models work --out-of-domain "film, models from phantoms"

Open report/index.html; the numbers are in table1.json, table1.csv, table1.md and predictions.csv beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mammogan.attack.settings import EvaluateConfig, report_folder
from mammogan.cluster.launch import Array, Job, launch_array, on_asked_device
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.records import of_scoring
from mammogan.cluster.shares import share_of, work_through
from mammogan.cluster.tasks import Call
from mammogan.command_line import Flat, run
from mammogan.config import Workspace
from mammogan.terminal import say

if TYPE_CHECKING:
    from mammogan.attack.scoring import ScoreTask


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    config: Path | None = None
    """YAML file with values for these options."""
    evaluation: Flat[EvaluateConfig] = field(default=EvaluateConfig())
    share: str = ""
    """K/N: score every N-th shard from the K-th on, from 1, in this process and without a report; one that fails keeps
    none of the others from being scored. What each task of a study's array does; the same command without it completes
    the work."""
    cluster: Flat[ClusterConfig] = field(default=ClusterConfig())


def main(options: Options) -> int:
    from mammogan.attack.evaluate import report
    from mammogan.attack.scoring import score_shard, withdraw_report

    workspace, config, tasks = plans(options)
    if options.share:
        work_through({task.title: Call(score_shard, (task,)) for task in tasks})
        return 0
    missing = [task for task in tasks if task.outdated()]
    say(f"{len(tasks) - len(missing)} of {len(tasks)} shards are scored")
    if missing:
        if not options.cluster.dry_run:
            withdraw_report(workspace, config.split)
        return launch_array(array_of(workspace, config, missing), options.cluster)
    if not options.cluster.dry_run:
        report(workspace, config)
    return 0


def arrays(options: Options) -> list[Array]:
    """What is left to be scored as an array; none when nothing is."""
    workspace, config, tasks = plans(options)
    missing = [task for task in tasks if task.outdated()]
    return [array_of(workspace, config, missing)] if missing else []


def plans(options: Options) -> tuple[Workspace, EvaluateConfig, list[ScoreTask]]:
    """The shards, all or those of the share, and with which settings they are scored."""
    from mammogan.attack.evaluate import scorings

    workspace = Workspace(options.workspace)
    config = on_asked_device(options.evaluation, options.cluster)
    shards = [(scoring, shard) for scoring in scorings(workspace, config) for shard in scoring.shards]
    own = share_of(shards, options.share) if options.share else shards
    return workspace, config, [scoring.task(shard) for scoring, shard in own]


def array_of(workspace: Workspace, config: EvaluateConfig, missing: Sequence[ScoreTask]) -> Array:
    """The missing scores as an array, and the report on all of them as what follows."""
    from mammogan.attack.evaluate import report
    from mammogan.attack.scoring import score_shard

    folder = workspace.scores(config.split)
    done = report_folder(workspace, config.split) / "done.json"
    last = Job("evaluate-report", Call(report, (workspace, config)), folder, done)
    makes = [task.title for task in missing]
    tasks, recorded = [Call(score_shard, (task,)) for task in missing], of_scoring(workspace, config.split)
    return Array("evaluate", tasks, folder, last, makes=makes, recorded=recorded)


if __name__ == "__main__":
    run(Options, main, __doc__)
