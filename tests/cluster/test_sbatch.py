"""What SLURM gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clusters import Flatly, leave_clusters, programs, ready_workspace
from conftest import ROOT, run_script

from mammogan.cluster.job import Array, Job
from mammogan.cluster.launch import launch_array
from mammogan.cluster.slurm.gres import gpus_of
from mammogan.cluster.slurm.profile import (
    ClusterConfig,
    for_one_process,
    minutes,
    python,
    sbatch_parameters,
    sbatch_text,
)
from mammogan.cluster.slurm.submit import script
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
    text = text.replace(str(Path.cwd()), "HERE").replace("PYTHON -P ", "PYTHON ")  # of where these tests run
    golden = GOLDEN / name
    if os.environ.get("MAMMOGAN_ACCEPT") == "1":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8"), (
        f"the job script differs from {golden}; if that is wanted, accept it with\n"
        "  MAMMOGAN_ACCEPT=1 pytest tests/test_sbatch.py"
    )


def test_the_jobs_of_train_gan_on_two_nodes_are_the_golden_ones(ready: Workspace, tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text((ROOT / "slurm/example.yaml").read_text().replace("YOUR_", "OUR_"))
    words = ("--workspace", ready.root, "--nodes", "2", "--profile", profile, "--dry-run")
    result = run_script("launch/train_gan.py", *words)
    assert result.returncode == 0, result.stderr
    assert_golden("train_gan_two_nodes.sbatch", result.stdout, ready)
    assert "on one node, --gpus-per-node 2 does the same as --nodes 2, faster" in result.stderr


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
    assert lines.index("{ module load cuda") + 1 == lines.index("} || setup_failed 'module load cuda'")
    assert [line for line in lines if line][-1].startswith("srun --unbuffered")
    assert "--export=ALL --cpus-per-task=4 --kill-on-bad-exit=1" in lines[-1]


BLOCK = """
# a comment
if [ -e {there} ]; then
    cd {there}  # another
fi
export NAME=value; NUMBERS=$(seq 1 \\
    2)
cat <<END > text
  as it is
END
"""


def run_until_the_work(config: ClusterConfig, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run what a job script does before the work, then tell the folder and what the setup has set."""
    script = sbatch_text(config, "name", folder).partition("# command")[0]
    script += 'echo "$PWD, $NAME, $NUMBERS"'
    return subprocess.run(["bash"], input=script, capture_output=True, text=True)


def test_setup_is_a_list_or_a_block_and_the_work_begins_in_the_folder_it_was_submitted_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted_from, there = tmp_path / "it's here", tmp_path / "there"
    submitted_from.mkdir()
    there.mkdir()
    monkeypatch.chdir(submitted_from)
    profile = tmp_path / "site.yaml"
    for block in (
        "setup: |" + BLOCK.replace("\n", "\n  "),
        "setup: ['cd {there} # x', 'export NAME=value', 'NUMBERS=1']",
    ):
        profile.write_text(block.format(there=there))
        result = run_until_the_work(parse(ClusterConfig, ["--profile", str(profile)]), tmp_path)
        assert result.stdout.startswith(f"{submitted_from}, value, 1") and not result.stderr
    assert (there / "text").read_text() == "  as it is\n"


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        (("true", "module load cuda", "export NAME=x"), "this line of --setup failed: module load cuda"),
        (("export NAME=x\nfalse # why\ntrue",), "this line of --setup failed: false # why"),
        (("if true; then\n  false\nfi",), "this line of --setup failed: if true; then"),
    ],
)
def test_a_setup_line_that_fails_ends_the_job_and_is_named(setup: tuple[str, ...], told: str, tmp_path: Path) -> None:
    result = run_until_the_work(ClusterConfig(setup=setup), tmp_path)
    assert result.returncode == 1 and result.stdout == "" and f"error: {told}\n" in result.stderr


def test_a_job_does_not_begin_where_the_folder_it_was_submitted_from_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    script = sbatch_text(ClusterConfig(), "name", tmp_path).partition("# command")[0]
    (tmp_path / "gone").rmdir()
    result = subprocess.run(["bash"], input=script, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1 and "gone, which is not on this node: use a folder that all" in result.stderr


@pytest.mark.parametrize("half", ["if true; then", "echo 'x", "cat <<END", "export A=1 \\"])
def test_half_a_command_as_setup_is_refused_before_anything_is_submitted(half: str) -> None:
    with pytest.raises(UserError, match="--setup: expected complete commands of bash, found "):
        sbatch_text(ClusterConfig(setup=("true", half)), "name", Path("run"))


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


def test_every_profile_we_ship_is_valid(tmp_path: Path) -> None:
    for profile in (ROOT / "slurm").glob("*.yaml"):
        mine = tmp_path / profile.name
        mine.write_text(profile.read_text().replace("YOUR_", "OUR_"))
        config = parse(ClusterConfig, ["--profile", str(mine)])
        assert config.cluster != "auto"
        training = Job("gan", Command(("true",)), tmp_path, tmp_path / "done", pairs=2)
        assert "#SBATCH --time=" in script(training, config), "a GAN's batch can be shared by its ranks"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("10:30", 11), ("2:00:00", 120), ("1-0", 1440), ("1-2:30", 1590), ("0-0:0:1", 1)],
)
def test_times_are_read_as_sbatch_reads_them(text: str, expected: int) -> None:
    assert minutes(text) == expected


def test_requests_that_contradict_themselves_are_refused() -> None:
    for wrong in (
        *({"time": "1h"}, {"time": "0"}, {"nodes": 0}, {"cpu_ranks": 0}, {"cpu_ranks": 2, "gpus_per_node": 1}),
        *({"tasks": 0}, {"time": "3", "signal_seconds": 180}, {"gres": "gpu:0"}, {"gres": "gpu:a100:0,nvme:1"}),
        *(
            {"sbatch": (option,)}
            for option in ("time=1", "--partition=x", "mem=9", "array=0-9", "job-name=x", "signal=2")
        ),
    ):
        with pytest.raises(UserError):
            ClusterConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "least"), [("gpus_per_node", 0), ("max_requeues", 0), ("mem_gb", 0), ("signal_seconds", 1)]
)
def test_a_number_that_is_too_small_is_refused_and_the_smallest_one_is_requested(name: str, least: int) -> None:
    option = f"--{name.replace('_', '-')}"
    with pytest.raises(UserError, match=f"{option} {least - 1}: expected {least} or more"):
        ClusterConfig(**{name: least - 1})  # type: ignore[arg-type]
    assert getattr(ClusterConfig(**{name: least}), name) == least  # type: ignore[arg-type]


def test_a_job_is_signalled_when_it_is_asked_to_be_or_at_a_sixth_of_a_short_limit() -> None:
    seconds = [
        sbatch_parameters(config, "name")["signal_delay_s"]
        for config in (ClusterConfig(signal_seconds=1), ClusterConfig(), ClusterConfig(time="6"))
    ]
    assert seconds == [1, 180, 60]


def test_gpus_requested_by_type_make_as_many_ranks_and_no_second_request() -> None:
    asked = sbatch_parameters(ClusterConfig(gres="gpu:a100:4,nvme:1"), "name")
    assert asked["ntasks_per_node"] == 4 and asked["gres"] == "gpu:a100:4,nvme:1" and "gpus_per_node" not in asked
    assert for_one_process(ClusterConfig(gres="gpu:a100:4,nvme:1"), gpus=1).gres == "gpu:a100:1,nvme:1"
    with pytest.raises(UserError, match="expected gpu:N"):
        gpus_of("nvme:1")


@pytest.mark.parametrize(
    ("gres", "gpus", "one"),
    [
        ("gpu", 1, "gpu:1"),
        ("gpu:2", 2, "gpu:1"),
        ("gpu:a100", 1, "gpu:a100:1"),
        ("shm:1,gpu:v:8", 8, "shm:1,gpu:v:1"),
        ("gpu:nvidia_a100-sxm4-80gb:4", 4, "gpu:nvidia_a100-sxm4-80gb:1"),
        ("gpu:1g.10gb:4", 4, "gpu:1g.10gb:1"),
        ("gpu:1g.10gb", 1, "gpu:1g.10gb:1"),
        ("gpu:a100_3g.20gb:2,gpu:1g.5gb:3,nvme:1", 5, "gpu:a100_3g.20gb:1,nvme:1"),
        ("gpu:0,gpu:a100:2", 2, "gpu:a100:1"),
    ],
)
def test_gres_is_read_as_name_type_and_count(gres: str, gpus: int, one: str) -> None:
    assert gpus_of(gres) == gpus and for_one_process(ClusterConfig(gres=gres), gpus=1).gres == one


@pytest.mark.parametrize(
    ("asked", "memory"),
    [
        ({"cpu_ranks": 2, "cpus_per_task": 3}, "24576M"),
        ({"gpus_per_node": 2, "mem_gb": 1.5}, "1536M"),
        ({"mem_gb": 0}, "0M"),
        ({"sbatch": ("mem-per-gpu=9G",)}, None),
    ],
)
def test_memory_is_always_asked_for(asked: dict[str, Any], memory: str | None) -> None:
    assert sbatch_parameters(ClusterConfig(**asked), "name").get("mem") == memory


def test_ranks_on_cpu_cores_request_no_gpu() -> None:
    for config in (ClusterConfig(cpu_ranks=3), for_one_process(ClusterConfig(gpus_per_node=4), gpus=0)):
        assert not {"gres", "gpus_per_node"} & sbatch_parameters(config, "name").keys()
    assert sbatch_parameters(ClusterConfig(cpu_ranks=3), "name")["ntasks_per_node"] == 3


def test_torchrun_sh_outside_an_allocation_says_what_to_do() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    script = ROOT / "slurm" / "torchrun.sh"
    result = subprocess.run(["bash", script, "x"], capture_output=True, text=True, env=environment)
    assert result.returncode != 0 and "run this inside salloc or sbatch" in result.stderr
