"""What launch/watch.py shows of jobs of a real SLURM."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from conftest import SMALL, run_script

from mammogan.cluster.job import Job
from mammogan.cluster.launch import launch
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Command
from mammogan.watch.stage_status import StageStatus
from mammogan.watch.watch import Watcher
from mammogan.workspace import Workspace
from slurm.trainings import gan_run, logs, slurm, train_gan, wait_for, wait_for_next_checkpoint

pytestmark = pytest.mark.slurm


def wait_for_status(watcher: Watcher, name: str, condition: Callable[[StageStatus], bool]) -> StageStatus:
    """A stage, once it stands so."""
    seen: list[StageStatus] = []

    def holds() -> bool:
        seen.extend(found for found in watcher.look().statuses if found.stage.name == name)
        return condition(seen[-1])

    wait_for(holds, f"{name} to stand otherwise; logs: {logs(watcher.workspace.root)}")
    return seen[-1]


def test_a_training_on_two_nodes_is_followed_over_a_requeue_to_its_cancellation(ready: Workspace) -> None:
    watcher, name = Watcher(ready), gan_run(ready).path.name
    job = train_gan(ready, "--epochs", "1", "1", "1", "1", "900")
    first = wait_for_status(watcher, name, lambda found: found.message == "RUNNING" and bool(found.progress.phase))
    assert first.submission and first.submission.job_ids == (job,)
    assert first.progress.epoch and first.restarts == 0
    wait_for_next_checkpoint(gan_run(ready))
    slurm("scancel", "--signal=USR2", job)
    waiting = wait_for_status(watcher, name, lambda found: found.state == "waiting")
    assert waiting.message.startswith("PENDING") and waiting.restarts == 1 and waiting.progress.status is None
    again = wait_for_status(watcher, name, lambda found: found.message == "RUNNING" and bool(found.progress.status))
    assert again.restarts == 1 and not again.error
    slurm("scancel", job)
    cancelled = wait_for_status(watcher, name, lambda found: found.state == "cancelled")
    assert (cancelled.message, cancelled.restarts) == ("CANCELLED", 1)
    told = run_script("launch/watch.py", "--workspace", ready.root, "--json")
    stages = {stage["name"]: stage for stage in json.loads(told.stdout)["stages"]}
    assert told.returncode == 1 and stages[name]["message"] == "CANCELLED" and stages[name]["restarts"] == 1
    assert stages[f"cad-{SMALL}"]["state"] == "done"


def test_a_failed_job_shows_its_error_and_the_job_that_waited_for_it_never_started(ready: Workspace) -> None:
    study = ready.root / "study"
    words = (sys.executable, "-c", "raise SystemExit('error: 3 pairs, expected 4')")
    one_core = {"cluster": "slurm", "cpu_ranks": 1, "cpus_per_task": 1, "time": "20"}
    altering = Job("generate", Command(words), study / f"generate-{SMALL}", study / "none")
    assert launch([altering], ClusterConfig(**one_core)) == 0  # type: ignore[arg-type]
    [number] = json.loads((altering.folder / "launch.json").read_text())["job_ids"]
    after = Job("evaluate", Command(("true",)), study / "evaluate-test", study / "none")
    assert launch([after], ClusterConfig(**one_core, dependency=f"afterok:{number}")) == 0  # type: ignore[arg-type]
    watcher = Watcher(ready)
    failed = wait_for_status(watcher, f"generate-{SMALL}", lambda found: found.state == "failed")
    assert (failed.message, failed.error) == ("FAILED", "error: 3 pairs, expected 4")
    assert failed.log and failed.log.read_text().count("error: 3 pairs")
    never = wait_for_status(watcher, "evaluate-test", lambda found: found.state == "cancelled")
    assert never.message == "CANCELLED" and "never started" in never.error


FAILS_ON_BOTH = """
import os, torch.distributed as dist
dist.init_process_group("gloo", rank=int(os.environ["RANK"]), world_size=2)
raise ValueError(f"the mask of rank {os.environ['RANK']} has 3 pairs")
"""


def test_the_error_of_a_training_that_fails_on_two_ranks_and_of_a_setup_line_is_shown_with_its_log(
    ready: Workspace,
) -> None:
    on_two = ClusterConfig(cluster="slurm", nodes=2, cpu_ranks=1, cpus_per_task=1, time="20")
    run = gan_run(ready).path
    training = Job(run.name, Command((sys.executable, "-c", FAILS_ON_BOTH)), run, run / "done.json", pairs=2)
    stage = ready.root / "study" / f"generate-{SMALL}"
    altering = Job("generate", Command(("true",)), stage, stage / "none")
    assert launch([training], on_two) == 0
    assert launch([altering], replace(on_two, nodes=1, setup=("module load cuda/99",))) == 0
    watcher = Watcher(ready)
    failed = wait_for_status(watcher, run.name, lambda found: found.state == "failed")
    assert re.fullmatch("ValueError: the mask of rank [01] has 3 pairs", failed.error)
    setup = wait_for_status(watcher, f"generate-{SMALL}", lambda found: found.state == "failed")
    assert setup.error == "error: this line of --setup failed: module load cuda/99"
    told = run_script("launch/watch.py", "--workspace", ready.root).stdout
    for found in (failed, setup):
        assert f"{found.error}\n  log     {found.log}" in told
