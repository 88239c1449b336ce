"""Requests that a real SLURM refuses, and one that can keep no accounts: our message, never a traceback."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import run_script

from mammogan.cluster.backend import choose
from mammogan.cluster.job import Job
from mammogan.cluster.launch import launch
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Command
from mammogan.workspace import Workspace
from slurm.conftest import started
from slurm.trainings import gan_run, gan_words, wait_for

pytestmark = pytest.mark.slurm


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--nodes", "3", "--pairs", "3"), ("Node count", "requested: 3 node(s)", "main: 2 node(s) with 16 cores")),
        (("--partition", "gpuu"), ("invalid partition specified: gpuu", "--partition must be one of", "  urgent: 2")),
        (("--partition", "paid"), ("Invalid account", "yours are:", "  study")),
        (("--mem-gb", "9000"), ("Memory specification", "9000 GB a node", "256000 MB")),
    ],
)
def test_what_the_cluster_cannot_give_is_refused_with_what_it_has(
    ready: Workspace, words: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    cpu = ("--cluster", "slurm", "--cpu-ranks", "1", "--cpus-per-task", "1")
    result = run_script("launch/train_gan.py", *gan_words(ready), *cpu, *words)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    for part in ("error: sbatch refused gan-96x96-remove: ", *expected):
        assert part in result.stderr
    assert result.stderr.count("sbatch") == 1, "told once"
    assert not [path for path in gan_run(ready).path.rglob("*") if path.is_file()], "nothing is left behind"


def test_where_the_cluster_answers_it_is_chosen() -> None:
    assert choose(ClusterConfig(nodes=2)).name == "slurm"


@pytest.fixture
def without_accounting(cluster: str) -> Iterator[None]:
    """The daemon of the accounts is stopped, as where a site keeps none, and back after the test."""
    pid = int((Path(cluster).parents[1] / "run" / "slurmdbd.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    wait_for(
        lambda: not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text(), "its end"
    )
    yield
    started()


@pytest.mark.usefixtures("without_accounting")
def test_without_accounting_jobs_are_still_submitted_waited_for_and_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ClusterConfig(cluster="slurm", cpu_ranks=1, cpus_per_task=1, time="5", wait=True)
    works, fails = (
        Job(name, Command(("sh", "-c", script)), tmp_path / name, tmp_path / name / "made")
        for name, script in (("works", f"touch {tmp_path}/works/made"), ("fails", "exit 4"))
    )
    assert launch([works, fails], config) == 1
    told = capsys.readouterr().err
    assert "(fails) did not finish its work; its log: " in told and "(works)" not in told
