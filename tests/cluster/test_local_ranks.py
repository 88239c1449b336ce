"""Tasks and ranks: named as torchrun names them, started and stopped together."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clusters import RANK_NAMES, leave_clusters, wait_for
from conftest import ROOT, checked, run_script
from training_states import assert_close, assert_same

from mammogan.cluster import local
from mammogan.cluster.job import Array, Job
from mammogan.cluster.launch import launch_array
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import (
    PORTS,
    Call,
    Command,
    Leaving,
    TrainCad,
    TrainGan,
    master_port,
    requeueing,
    take_rank,
)
from mammogan.config import CadConfig, GanConfig
from mammogan.training.run.checkpoint import load
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Resolution, Workspace


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


def test_tasks_survive_pickling_and_go_back_to_the_queue_as_they_are(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    tasks = [TrainCad(CadConfig(), workspace), TrainGan(GanConfig(), Direction.REMOVE, workspace), Call(print, ("x",))]
    for task in tasks:
        assert pickle.loads(pickle.dumps(task)) == task
        assert task.checkpoint().function is task


def test_the_port_follows_job_and_restart_and_stays_below_ephemeral_ports() -> None:
    ports = {(job, restarts): master_port(str(job), restarts) for job in range(300) for restarts in range(3)}
    assert all(10000 <= port <= 32767 for port in ports.values())
    assert len(set(ports.values())) > 0.95 * len(ports) and len(PORTS) == 22768
    assert all(ports[job, 0] != ports[job, 1] for job in range(300))


def test_a_submitit_job_names_its_ranks_as_torchrun_would(monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1"}
    more = {"SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "gpu[03-04]", "SLURM_RESTART_COUNT": "2"}
    stale = {"WORLD_SIZE": "9", "MASTER_ADDR": "elsewhere", "CUDA_VISIBLE_DEVICES": "4,5"}
    for name, value in (job | more | stale | {"SUBMITIT_EXECUTOR": "slurm"}).items():
        monkeypatch.setenv(name, value)
    take_rank()
    expected = ("3", "4", "1", "gpu03", str(master_port("77", 2)))
    assert tuple(os.environ[name] for name in RANK_NAMES) == expected
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,5"
    monkeypatch.delenv("RANK")
    monkeypatch.setenv("MASTER_PORT", "12345")
    take_rank()
    assert os.environ["MASTER_PORT"] == "12345"


def test_a_rank_of_torchrun_inside_a_submitit_job_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    torchrun = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "gpu03", "MASTER_PORT": "29500"}
    job = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SUBMITIT_EXECUTOR": "slurm"}
    for name, value in (torchrun | job).items():
        monkeypatch.setenv(name, value)
    take_rank()
    assert {name: os.environ[name] for name in torchrun} == torchrun


def test_outside_a_submitit_job_nothing_is_exported() -> None:
    take_rank()
    assert not set(RANK_NAMES) & set(os.environ)


def shell(script: str) -> Command:
    return Command(("/bin/sh", "-c", script))


def test_local_ranks_know_their_numbers_and_share_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    told = shell(f'echo "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $OMP_NUM_THREADS" > {tmp_path}/$MASTER_PORT-$RANK')
    assert local.run_ranks(told, 2, tmp_path / "submit") == 0
    cores = max(1, len(os.sched_getaffinity(0)) // 2)
    assert sorted(file.read_text() for file in tmp_path.glob("*-?")) == [
        f"{n} {n} 2 127.0.0.1 {cores}\n" for n in (0, 1)
    ]
    assert len({file.name.partition("-")[0] for file in tmp_path.glob("*-?")}) == 1


def test_cores_that_this_process_may_not_use_are_not_shared_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert local.run_ranks(shell(f"echo $OMP_NUM_THREADS > {tmp_path}/threads"), 1, tmp_path) == 0
    finally:
        os.sched_setaffinity(0, allowed)
    assert (tmp_path / "threads").read_text() == "1\n"


def test_one_failing_rank_ends_the_others_and_its_log_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    task = shell('[ "$RANK" = 0 ] && exec sleep 60; echo the reason; exit 5')
    assert local.run_ranks(task, 2, tmp_path) == 1
    assert time.monotonic() - began < 20
    told = capfd.readouterr().err
    assert "process 1 failed with exit code 1" in told and "the reason" in told


def launcher_of_ranks(
    folder: Path, seconds: float, *ignored: signal.Signals
) -> tuple[subprocess.Popen[bytes], list[Path]]:
    """A process that has started two ranks, each waiting ``seconds``, and the files that hold their ids."""
    program = (
        "import sys; from pathlib import Path; from mammogan.cluster import local, tasks;"
        "from mammogan.io.options import guarded; folder = Path(sys.argv[1]);"
        'task = tasks.Call(exec, (\'import os, time; open(os.environ["RANK"], "w").write(str(os.getpid()));'
        "time.sleep(' + sys.argv[2] + ')',)); sys.exit(guarded(lambda: local.run_ranks(task, 2, folder)))"
    )

    def as_a_shell_would() -> None:
        for number in (signal.SIGINT, signal.SIGHUP):  # background jobs ignore the first
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    words = [sys.executable, "-c", program, str(folder), str(seconds)]
    launcher = subprocess.Popen(words, cwd=folder, preexec_fn=as_a_shell_would)
    written = [folder / "0", folder / "1"]
    wait_for(lambda: all(file.exists() and file.read_text() for file in written))
    return launcher, written


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_ranks_do_not_outlive_their_launcher(tmp_path: Path, number: signal.Signals, code: int) -> None:
    launcher, written = launcher_of_ranks(tmp_path, 60)
    launcher.send_signal(number)
    assert launcher.wait(timeout=20) == code
    wait_for(lambda: not any(alive(int(file.read_text())) for file in written))


def test_under_nohup_the_ranks_outlive_the_terminal(tmp_path: Path) -> None:
    launcher, _ = launcher_of_ranks(tmp_path, 2, signal.SIGHUP)
    launcher.send_signal(signal.SIGHUP)
    assert launcher.wait(timeout=20) == 0


def alive(pid: int) -> bool:
    """Whether it runs; a dead process nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_array_runs_here_in_several_processes_and_is_then_finished(tmp_path: Path) -> None:
    tasks = [shell(f"echo $LOCAL_RANK > {tmp_path}/{n}") for n in range(5)]
    finish = Job("index", shell(f"ls {tmp_path} | grep -c '^[0-4]$' > {tmp_path}/count"), tmp_path, tmp_path / "count")
    assert launch_array(Array("a", tasks, tmp_path, finish), ClusterConfig(cluster="local", cpu_ranks=2)) == 0
    assert (tmp_path / "count").read_text() == "5\n"
    assert [(tmp_path / str(n)).read_text() for n in range(5)] == ["0\n", "1\n", "0\n", "1\n", "0\n"]


def test_two_local_ranks_those_of_torchrun_and_one_process_train_the_same_cad(
    workspace: Workspace, tmp_path: Path
) -> None:
    size, small = Resolution(96, 96), ("--width", "0.05", "--vgg-weights", "none", "--epochs", "1", "--pairs", "2")
    fast = ("--epoch-batches", "2", "--compute.loader-workers", "0", "--compute.no-tensorboard")
    door = ("launch/train_cad.py", *small, *fast, "--compute.device", "cpu", "--compute.precision", "fp64")
    torchruns, alone = Workspace(tmp_path / "torchrun"), Workspace(tmp_path / "alone")
    for other in (torchruns, alone):
        shutil.copytree(workspace.root, other.root)

    result = run_script(*door, "--workspace", workspace.root, "--cpu-ranks", "2")
    assert result.returncode == 0, result.stderr
    assert "cad-96x96 with 2 ranks on this machine" in result.stderr and "2 rank(s) on cpu" in result.stdout
    assert (workspace.cad_run(size) / "done.json").is_file()
    checked(*door, "--workspace", alone.root, "--cluster", "none")
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    subprocess.run([*torchrun, *door, "--workspace", torchruns.root], cwd=ROOT, check=True, timeout=200)

    trained = [load(Run(w.cad_run(size)).newest) for w in (workspace, torchruns, alone)]
    assert_same(trained[0], trained[1])
    assert_close(trained[0]["cad"], trained[2]["cad"])


def test_a_second_signal_does_not_keep_the_first_from_putting_the_job_back(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def requeue(number: int, frame: object) -> None:
        os.kill(os.getpid(), signal.SIGUSR2)
        steps.append("requeued")

    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        with pytest.raises(Leaving), requeueing(leaves_first=True):
            handler = signal.getsignal(signal.SIGUSR2)
            try:
                os.kill(os.getpid(), signal.SIGUSR2)
                steps.append("went on")
            finally:
                signal.signal(signal.SIGUSR2, handler)  # as a training does with the handlers that it found
                os.kill(os.getpid(), signal.SIGUSR2)
                steps.append("cleared up")
        assert steps == ["cleared up", "requeued"]
        assert signal.getsignal(signal.SIGUSR2) is requeue
    finally:
        signal.signal(signal.SIGUSR2, before)
