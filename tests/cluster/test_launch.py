"""Launching: where work runs, what is asked of it, and what the user is told."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from clusters import Flatly, leave_clusters, programs, ready_workspace
from conftest import ROOT, run_script

from mammogan.cluster import backend
from mammogan.cluster.backend import Backend, check_shared, choose, ranks_here
from mammogan.cluster.job import Job
from mammogan.cluster.launch import launch
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Command
from mammogan.errors import MissingInput, UserError
from mammogan.io.options import guarded, parse
from mammogan.io.structure import keys
from mammogan.training.run.preflight import choose_resolution
from mammogan.workspace import Resolution, Workspace


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


@pytest.fixture
def ready(tmp_path: Path) -> Workspace:
    return ready_workspace(tmp_path / "work")


def test_auto_stays_on_a_machine_without_slurm_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch)
    assert choose(ClusterConfig()) == Backend("local", "sbatch is not installed here")
    unconfigured = "sinfo: fatal: Could not establish a configuration source"
    programs(tmp_path, monkeypatch, sbatch="exit 0", sinfo=f"echo {unconfigured} >&2; exit 1")
    assert choose(ClusterConfig()) == Backend("local", f"sinfo fails: {unconfigured}")


FAILS_ONCE = "[ -e {0} ] || {{ /bin/touch {0}; exit 1; }}"
SLOW_ONCE = "[ -e {0} ] || {{ /bin/touch {0}; exec /bin/sleep 9; }}"


@pytest.mark.parametrize("sinfo", [FAILS_ONCE, SLOW_ONCE], ids=["fails", "slow"])
def test_one_missed_answer_does_not_decide_where_work_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sinfo: str
) -> None:
    monkeypatch.setattr(backend, "ANSWER_SECONDS", (0.5, 5.0))
    monkeypatch.setattr(backend, "PAUSE_SECONDS", 0.0)
    programs(tmp_path, monkeypatch, sbatch="exit 0", sinfo=sinfo.format(tmp_path / "asked"))
    assert choose(ClusterConfig()).name == "slurm"


@pytest.mark.parametrize(
    ("scripts", "problem"),
    [
        ({"sinfo": "echo 'Unable to contact slurm controller' >&2; exit 1"}, "sinfo fails: Unable to contact slurm"),
        ({"sinfo": "exec /bin/sleep 9"}, "sinfo does not answer within 0.2 s"),
        ({}, "sinfo cannot be run here"),
    ],
)
def test_where_sbatch_is_installed_and_slurm_does_not_answer_nothing_is_computed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripts: dict[str, str], problem: str
) -> None:
    monkeypatch.setattr(backend, "ANSWER_SECONDS", (0.2, 0.2))
    monkeypatch.setattr(backend, "PAUSE_SECONDS", 0.0)
    programs(tmp_path, monkeypatch, sbatch="exit 0", **scripts)
    with pytest.raises(UserError, match=f"{problem}.*give --cluster local to compute on this machine"):
        choose(ClusterConfig())
    assert choose(ClusterConfig(cluster="local")).name == "local"


def test_auto_submits_where_slurm_answers_but_not_from_inside_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch, sbatch="exit 0", sinfo="exit 0")
    assert choose(ClusterConfig()).name == "slurm"
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert choose(ClusterConfig()) == Backend("local", "already inside SLURM job 12")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert choose(ClusterConfig()) == Backend("none", "torchrun started this process")


def test_a_shell_of_salloc_on_the_login_node_is_not_inside_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    programs(tmp_path, monkeypatch, sbatch="exit 0", sinfo="exit 0")
    where = choose(ClusterConfig())
    assert where.name == "slurm" and "not on the nodes of salloc's job 12: slurm/torchrun.sh or srun" in where.why
    monkeypatch.setenv("SLURM_STEP_ID", "0")  # salloc may start its shell as a step, on the first node
    assert choose(ClusterConfig()) == Backend("local", "already inside SLURM job 12")


def test_more_than_one_node_without_slurm_is_refused_with_a_way_out(ready: Workspace) -> None:
    result = run_script("launch/train_gan.py", "--workspace", ready.root, "--nodes", "2", "--cluster", "local")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "--nodes 2 needs SLURM" in result.stderr and "--gpus-per-node N or --cpu-ranks N" in result.stderr


def test_slurm_requested_where_there_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch)
    with pytest.raises(UserError, match="sbatch is not installed here; try --cluster local"):
        choose(ClusterConfig(cluster="slurm"))
    assert choose(ClusterConfig(cluster="slurm", dry_run=True)).name == "slurm"


def test_a_batch_that_ranks_cannot_share_is_refused_with_the_legal_numbers(ready: Workspace) -> None:
    with pytest.raises(UserError, match="6 pairs cannot be shared by 4 ranks; legal numbers of ranks are 1, 2, 3, 6"):
        check_shared(6, 4)
    result = run_script("launch/train_gan.py", "--workspace", ready.root, "--nodes", "3", "--dry-run")
    assert result.returncode == 2 and "legal numbers of ranks are 1, 2," in result.stderr


def test_left_to_itself_a_machine_takes_the_most_gpus_that_share_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "visible_gpus", lambda: 3)
    assert [ranks_here(ClusterConfig(), pairs) for pairs in (1, 2, 4, 6)] == [1, 2, 2, 3]
    with pytest.raises(UserError, match="3 GPUs are visible here"):
        ranks_here(ClusterConfig(gpus_per_node=4), 4)
    monkeypatch.setattr(backend, "visible_gpus", lambda: 0)
    assert ranks_here(ClusterConfig(), 4) == 1 and ranks_here(ClusterConfig(cpu_ranks=4), 4) == 4


def test_one_process_is_not_several_ranks(ready: Workspace) -> None:
    job = Job("x", Command(("true",)), ready.root, ready.root / "done", pairs=2)
    with pytest.raises(UserError, match="use --cluster local, or start it with torchrun"):
        launch([job], ClusterConfig(cluster="none", cpu_ranks=2))


def test_torchruns_ranks_are_not_sent_to_two_trainings(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    job = Job("x", Command(("true",)), ready.root, ready.root / "done", pairs=2)
    with pytest.raises(UserError, match="choose one"):
        launch([job, job], ClusterConfig())


def test_the_resolution_is_the_one_that_has_shards_else_the_highest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(tmp_path)
    assert str(choose_resolution("auto", workspace)) == "1728x1408"
    for size in ("128x96", "256x192"):
        (tmp_path / "shards" / size).mkdir(parents=True)
        (tmp_path / "shards" / size / "index.json").write_text("{}")
        chosen = choose_resolution("auto", workspace)
        assert str(chosen) == size
    assert "the highest of those that have shards: 256x192, 128x96" in capsys.readouterr().err
    assert str(choose_resolution("low", workspace)) == "1024x832"


def test_without_shards_the_error_names_the_command_that_makes_them(tmp_path: Path) -> None:
    for door in ("launch/train_cad.py", "launch/train_gan.py"):
        result = run_script(door, "--workspace", tmp_path, "--resolution", "low", "--dry-run")
        assert result.returncode == 2 and "Traceback" not in result.stderr and result.stdout == ""
        assert result.stderr.startswith("error: no shards at 1024x832")
        assert f"mammogan make-shards --cohort labels.csv --workspace {tmp_path}" in result.stderr


def test_without_a_cad_the_error_names_the_command_that_trains_it(ready: Workspace) -> None:
    (ready.cad_run(Resolution(96, 96)) / "done.json").unlink()
    result = run_script("launch/train_gan.py", "--workspace", ready.root)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert f"mammogan train-cad --workspace {ready.root} --resolution 96x96" in result.stderr


def test_the_traceback_of_a_mistake_can_be_requested_and_that_of_a_fault_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistake() -> int:
        raise MissingInput("run that first")

    assert guarded(mistake) == 2
    assert capsys.readouterr().err == "error: run that first\n"
    monkeypatch.setenv("MAMMOGAN_TRACEBACK", "1")
    assert guarded(mistake) == 2
    assert "Traceback" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: 1 // 0)
    assert guarded(lambda: 3) == 3
    assert guarded(lambda: len(Path("/nowhere/at/all").read_bytes())) == 2
    assert capsys.readouterr().err.endswith("error: No such file or directory: /nowhere/at/all\n")


def test_a_runs_own_config_can_be_given_back_and_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "config: {pairs: 6, lr-fnet: 1e-3, compute.device: cpu, penalty: {of: margin}}\nmade_by: {git: x}\n"
    )
    read = parse(Flatly, ["--config", str(file), "--pairs", "8"]).training
    assert (read.pairs, read.lr_fnet, read.compute.device, read.penalty.of) == (8, 1e-3, "cpu", "margin")
    assert {"pairs", "nodes", "config"} <= keys(Flatly).keys()


FRONT_DOORS = sorted(path for folder in ("launch", "shards") for path in (ROOT / folder).glob("*.py"))


@pytest.mark.parametrize("door", FRONT_DOORS, ids=lambda door: door.name)
def test_help_answers_at_once(door: Path) -> None:
    program = (
        "import runpy, sys; sys.argv = [sys.argv[1], '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print(sorted({'torch', 'scipy', 'matplotlib', 'pydicom', 'sklearn'} & set(sys.modules)))"
    )
    began = time.monotonic()
    result = subprocess.run([sys.executable, "-c", program, str(door)], capture_output=True, text=True)
    took = time.monotonic() - began
    assert result.returncode == 0, result.stderr
    assert "--help" in result.stdout and result.stdout.splitlines()[-1] == "[]"
    assert took < 3, f"{took:.1f} s; it takes 0.3 s on an idle machine"
