"""What a site's and a user's variables, setup lines and limits do to jobs on a real SLURM."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, run_script

from mammogan.cluster.job import Array, Job
from mammogan.cluster.launch import launch, launch_array
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Command
from mammogan.errors import UserError
from mammogan.workspace import Workspace
from slurm.trainings import gan_words, logs, slurm, state_of, wait_for, wait_for_end

pytestmark = pytest.mark.slurm
CPU = {"cluster": "slurm", "cpu_ranks": 1, "cpus_per_task": 1, "time": "20", "partition": "main"}


def job(script: str, folder: Path) -> Job:
    return Job("stage", Command(("sh", "-c", script)), folder / "run", folder / "made")


def on_cpu(**options: object) -> ClusterConfig:
    return ClusterConfig(**(CPU | options))  # type: ignore[arg-type]


def record(folder: Path) -> dict[str, dict[str, str]]:
    read: dict[str, dict[str, str]] = json.loads((folder / "run" / "launch.json").read_text())
    return read


def test_what_is_asked_wins_over_the_environment_and_the_record_says_what_slurm_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "urgent")
    monkeypatch.setenv("SBATCH_ACCOUNT", "study")
    assert launch([job(f"touch {tmp_path}/made", tmp_path)], on_cpu(wait=True)) == 0, logs(tmp_path)
    told = capsys.readouterr()
    assert "granted partition main, account study, QOS normal, time 20:00" in told.out
    assert "SBATCH_PARTITION=urgent" in told.err and "SBATCH_TIMELIMIT=1" in told.err
    granted = {"partition": "main", "account": "study", "QOS": "normal", "time": "20:00"}
    assert record(tmp_path)["granted"] == granted and record(tmp_path)["environment"] == {"SBATCH_ACCOUNT": "study"}


def test_a_job_that_begins_without_the_users_environment_has_that_of_its_setup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBATCH_EXPORT", "NONE")
    monkeypatch.setenv("LOST", "lost")
    monkeypatch.chdir(ROOT)
    script = f'echo "$NAME$LOST" > {tmp_path}/made'
    assert launch([job(script, tmp_path)], on_cpu(wait=True, setup=("export NAME=name\n# x", "cd /"))) == 0, logs(
        tmp_path
    )
    assert (tmp_path / "made").read_text() == "name\n"


def test_relative_paths_mean_the_same_in_a_job_whose_setup_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    assert launch([job("touch made", Path())], on_cpu(wait=True, setup=("cd /tmp",))) == 0, logs(tmp_path)
    assert (tmp_path / "made").exists()


def test_a_job_is_recognised_by_its_number_whatever_it_is_called(tmp_path: Path) -> None:
    assert launch([job("sleep 60", tmp_path)], on_cpu()) == 0
    [number] = record(tmp_path)["job_ids"]
    slurm("scontrol", "update", f"JobId={number}", "JobName=renamed")
    with pytest.raises(UserError, match=f"still queued or running: job {number}"):
        launch([job("true", tmp_path)], on_cpu())
    slurm("scancel", number)


def test_a_dry_run_tells_when_jobs_would_start_and_queues_nothing(ready: Workspace) -> None:
    before = slurm("squeue", "--noheader", "--states=all", "--format=%i")
    words = ("--cluster", "slurm", "--gpus-per-node", "2", "--time", "3:00:00", "--dry-run")
    result = run_script("launch/train_gan.py", *gan_words(ready), *words)
    assert result.returncode == 0
    for part in ("2 GPU(s), at most 6.0 GPU-hours", "would start at 20", "on node", "SBATCH_TIMELIMIT=1"):
        assert part in result.stderr
    refused = run_script("launch/train_gan.py", *gan_words(ready), *words, "--partition", "gpuu")
    assert "sbatch would refuse it: " in refused.stderr and "invalid partition" in refused.stderr
    assert slurm("squeue", "--noheader", "--states=all", "--format=%i") == before


def test_a_job_that_was_queued_although_sbatch_got_no_answer_is_cancelled_and_submitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    once = (
        f"[ -e {tmp_path}/asked ] || {{ touch {tmp_path}/asked; echo 'sbatch: error: Socket timed out' >&2; exit 1; }}"
    )
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text(f'#!/bin/sh\nnumber=$({shutil.which("sbatch")} --hold "$@")\n{once}\necho "$number"\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(sbatch.parent), prepend=":")
    with pytest.raises(UserError, match=r"it was queued nevertheless as job \d+, which has been cancelled") as refused:
        launch([job("true", tmp_path)], on_cpu())
    [number] = [word.rstrip(",") for word in str(refused.value).split() if word.rstrip(",").isdigit()]
    assert state_of(number) == "CANCELLED" and not list((tmp_path / "run" / "submit").iterdir())
    assert launch([job("true", tmp_path)], on_cpu()) == 0
    slurm("scancel", *record(tmp_path)["job_ids"])


def test_an_array_has_no_more_tasks_than_asked_for_and_does_all_work(tmp_path: Path) -> None:
    tasks = [Command(("touch", f"{tmp_path}/part-{n}")) for n in range(5)]
    count = Command(("sh", "-c", f"ls {tmp_path} | grep -c part- > {tmp_path}/index"))
    finish = Job("index", count, tmp_path / "run", tmp_path / "index")
    array = Array("parts", tasks, tmp_path / "run", finish, makes=[f"{n}.tar" for n in range(5)])
    assert launch_array(array, on_cpu(wait=True, tasks=2)) == 0, logs(tmp_path)
    assert (tmp_path / "index").read_text() == "5\n"
    assert list(record(tmp_path)["arrays"].values()) == [["0.tar to 2.tar", "3.tar to 4.tar"]]


def test_the_log_of_a_job_tells_what_it_has_and_what_it_used(tmp_path: Path) -> None:
    assert launch([job(f"touch {tmp_path}/made", tmp_path)], on_cpu(wait=True, mem_gb=3)) == 0
    told = logs(tmp_path)
    assert "node node" in told and "1 core(s) asked of" in told and "3 GB asked of" in told and "no GPU" in told
    assert " of 1 core(s) busy, peak memory 0." in told and " of 3 GB" in told


def test_a_requeue_that_slurm_refuses_is_explained(tmp_path: Path) -> None:
    assert launch([job(f"touch {tmp_path}/begun; sleep 60", tmp_path)], on_cpu()) == 0
    [number] = record(tmp_path)["job_ids"]
    wait_for((tmp_path / "begun").exists, "its work to begin")
    slurm("scontrol", "update", f"JobId={number}", "Requeue=0")
    slurm("scancel", "--signal=USR2", number)
    assert wait_for_end(number) == "FAILED"
    assert "SLURM did not put this job back into the queue" in logs(tmp_path)
    assert "give the same command again" in logs(tmp_path)


def doctor(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    size = ("--nodes", "2", "--cpu-ranks", "1", "--cpus-per-task", "1")
    command = (sys.executable, "-m", "mammogan", "cluster-doctor", "--workspace", str(workspace), "--cluster", "slurm")
    return subprocess.run([*command, *size, *words], capture_output=True, text=True, cwd=ROOT)


def test_the_doctor_finds_a_sound_cluster_sound(tmp_path: Path) -> None:
    result = doctor(tmp_path)
    assert result.returncode == 0 and "WRONG" not in result.stdout, result.stdout + result.stderr
    for found in ("node1 is 198.51.100.11", "the job may be requeued", "2 ranks met in", "2 rank(s) see"):
        assert found in result.stdout


def test_the_doctor_says_which_line_of_a_profile_mends_what_it_finds(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 80)
    long.mkdir()
    profile = tmp_path / "site.yaml"
    profile.write_text(f"setup: ['export TMPDIR={long}']\n")
    result = doctor(tmp_path, "--profile", str(profile))
    assert result.returncode == 1 and result.stdout.count("WRONG") == 1, result.stdout + result.stderr
    assert 'on rank 0, 1; in the profile: setup: ["export TMPDIR=/tmp"]' in result.stdout
