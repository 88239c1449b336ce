"""What SLURM gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clusters import Flatly, leave_clusters, programs, ready_workspace
from conftest import ROOT, run_script

from mammogan.cluster.job import Array, Job
from mammogan.cluster.launch import launch_array
from mammogan.cluster.slurm.profile import (
    ClusterConfig,
    for_one_process,
    gpus_of,
    minutes,
    python,
    sbatch_parameters,
    sbatch_text,
)
from mammogan.cluster.tasks import Command
from mammogan.errors import UserError
from mammogan.io.options import parse
from mammogan.workspace import Resolution, Workspace

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


@pytest.fixture
def ready(tmp_path: Path) -> Workspace:
    return ready_workspace(tmp_path / "work")


def assert_golden(name: str, text: str, workspace: Workspace) -> None:
    text = text.replace(sys.executable, "PYTHON").replace(str(workspace.root.absolute()), "WORKSPACE")
    golden = GOLDEN / name
    if os.environ.get("MAMMOGAN_ACCEPT") == "1":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8"), (
        f"the job script differs from {golden}; if that is wanted, accept it with\n"
        "  MAMMOGAN_ACCEPT=1 pytest tests/test_sbatch.py"
    )


def test_the_jobs_of_train_gan_on_two_nodes_are_the_golden_ones(ready: Workspace) -> None:
    words = ("--workspace", ready.root, "--nodes", "2", "--profile", "slurm/example.yaml", "--dry-run")
    result = run_script("launch/train_gan.py", *words)
    assert result.returncode == 0, result.stderr
    assert_golden("train_gan_two_nodes.sbatch", result.stdout, ready)


def test_an_array_is_the_golden_one(ready: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ready.adversarial(Resolution(96, 96))
    finish = Job("generate-index", Command(("true",)), folder, folder / "index.json")
    array = Array("generate", [Command(("true",))] * 7, folder, finish, at_once=3)
    config = ClusterConfig(dry_run=True, nodes=4, gpus_per_node=4, setup=("module load cuda",), partition="gpu")
    assert launch_array(array, config) == 0
    assert_golden("generate_array.sbatch", capsys.readouterr().out, ready)


def test_the_dry_run_is_what_submitit_submits(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import submitit

    programs(tmp_path / "bin", monkeypatch, srun="exit 0")
    config = ClusterConfig(
        nodes=2, mem_gb=12, reservation="x", dependency="afterok:7", sbatch=("licenses=a", "exclusive")
    )
    folder = ready.root / "submit" / "%j"
    executor = submitit.SlurmExecutor(folder, python=python())
    executor.update_parameters(**sbatch_parameters(config, "name"))
    text = executor._make_submission_file_text(executor._submitit_command_str, "uid")
    assert sbatch_text(config, "name", folder) == text
    for line in ("licenses=a", "exclusive", "reservation=x", "kill-on-invalid-dep=yes", "dependency=afterok:7"):
        assert f"#SBATCH --{line}\n" in text


def test_the_work_is_the_scripts_last_command_and_a_failing_setup_line_ends_it() -> None:
    lines = sbatch_text(ClusterConfig(setup=("module load cuda",)), "name", Path("run")).splitlines()
    assert "module load cuda || exit 1" in lines
    assert [line for line in lines if line][-1].startswith("srun --unbuffered")
    assert "--cpus-per-task=4 --kill-on-bad-exit=1" in lines[-1]


def test_the_command_line_wins_over_the_profile_and_that_over_defaults(tmp_path: Path) -> None:
    profile = tmp_path / "site.yaml"
    profile.write_text("nodes: 3\ntime: 24:00:00\npartition: gpu\nsbatch: [exclusive]\n")
    config = parse(ClusterConfig, ["--profile", str(profile), "--nodes", "2"])
    assert (config.nodes, config.partition, config.cpus_per_task) == (2, "gpu", 4)
    assert minutes(config.time) == 24 * 60 and config.sbatch == ("exclusive",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("partitoin: gpu", "unknown key partitoin; valid keys are account, cluster, .*partition"),
        ("width: 0.5", "unknown key width"),
        ("nodes: two", "nodes: expected int, found 'two'"),
        ("cluster: lokal", "expected one of auto, none, local, slurm, found 'lokal'"),
        ("wait: perhaps", "wait: expected true or false"),
        ("- nodes", "expected a mapping"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_mistake_in_a_profile_is_reported_with_what_is_valid(tmp_path: Path, text: str, complaint: str) -> None:
    profile = tmp_path / "site.yaml"
    profile.write_text(text)
    with pytest.raises(UserError, match=complaint):
        parse(Flatly, ["--profile", str(profile)])


def test_every_profile_we_ship_is_valid() -> None:
    for profile in (ROOT / "slurm").glob("*.yaml"):
        assert parse(ClusterConfig, ["--profile", str(profile)]).cluster != "auto"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("10:30", 11), ("2:00:00", 120), ("1-0", 1440), ("1-2:30", 1590), ("0-0:0:1", 1)],
)
def test_times_are_read_as_sbatch_reads_them(text: str, expected: int) -> None:
    assert minutes(text) == expected


def test_requests_that_contradict_themselves_are_refused() -> None:
    for wrong in ({"time": "1h"}, {"time": "0"}, {"nodes": 0}, {"cpu_ranks": 0}, {"cpu_ranks": 2, "gpus_per_node": 1}):
        with pytest.raises(UserError):
            ClusterConfig(**wrong)  # type: ignore[arg-type]


def test_gpus_requested_by_type_make_as_many_ranks_and_no_second_request() -> None:
    asked = sbatch_parameters(ClusterConfig(gres="gpu:a100:4,nvme:1"), "name")
    assert asked["ntasks_per_node"] == 4 and asked["gres"] == "gpu:a100:4,nvme:1" and "gpus_per_node" not in asked
    assert for_one_process(ClusterConfig(gres="gpu:a100:4,nvme:1"), gpus=1).gres == "gpu:a100:1,nvme:1"
    assert [gpus_of(text) for text in ("gpu", "gpu:2", "gpu:a100", "shm:1,gpu:v:8")] == [1, 2, 1, 8]
    with pytest.raises(UserError, match="expected gpu:N"):
        gpus_of("nvme:1")


def test_ranks_on_cpu_cores_request_no_gpu() -> None:
    for config in (ClusterConfig(cpu_ranks=3), for_one_process(ClusterConfig(gpus_per_node=4), gpus=0)):
        assert not {"gres", "gpus_per_node"} & sbatch_parameters(config, "name").keys()
    assert sbatch_parameters(ClusterConfig(cpu_ranks=3), "name")["ntasks_per_node"] == 3


def test_torchrun_sh_outside_an_allocation_says_what_to_do() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    script = ROOT / "slurm" / "torchrun.sh"
    result = subprocess.run(["bash", script, "x"], capture_output=True, text=True, env=environment)
    assert result.returncode != 0 and "run this inside salloc or sbatch" in result.stderr
