"""An array of shards over a real SLURM, one of which is damaged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import SMALL, checked, run_script
from generators import save_all

from mammogan.attack.config import GenerateConfig
from mammogan.attack.generate import generate
from mammogan.cluster.job import Array, Job
from mammogan.cluster.launch import launch_array
from mammogan.cluster.slurm import submit
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Command
from mammogan.io.atomic import read_json
from mammogan.workspace import Workspace

pytestmark = pytest.mark.slurm
CPU = ("--cluster", "slurm", "--cpu-ranks", "1", "--cpus-per-task", "1", "--time", "20", "--wait", "--device", "cpu")
FAILED, LOGGED = r"job (\d+_\d)", r"did not finish its work; its log: (\S+)"


@pytest.fixture
def many_shards(phantom: Path, tmp_path: Path) -> Workspace:
    """Shards of two images each, and untrained generators."""
    workspace = Workspace(tmp_path / "work")
    checked(
        "shards/make_shards.py", "--cohort", phantom / "labels.csv", "--workspace", workspace.root,
        "--resolution", "96x96", "--jobs", "1", "--shard-images", "2",
    )  # fmt: skip
    save_all(workspace, SMALL)
    return workspace


@pytest.fixture
def altered(many_shards: Workspace) -> Workspace:
    generate(many_shards, GenerateConfig(device="cpu"))
    return many_shards


def test_a_damaged_shard_fails_alone_and_once_repaired_is_submitted_alone(many_shards: Workspace) -> None:
    words = ("launch/generate.py", "--workspace", many_shards.root, *CPU)
    damaged = many_shards.shards(SMALL) / "test-negative-000001.tar"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    altered = many_shards.adversarial(SMALL)
    shards = len(list(many_shards.shards(SMALL).glob("test-*.tar")))

    result = run_script(*words)
    assert result.returncode == 1 and f"submitted {shards} tasks" in result.stdout, result.stdout + result.stderr
    failed = re.findall(
        r"job (\d+_\d) \(generate-96x96: test-insert-000001.tar\) did not finish its work; its log: (\S+)",
        result.stderr,
    )
    assert len(failed) == 1 and "test-negative-000001.tar" in Path(failed[0][1]).read_text()
    assert "(generate-96x96-index) never started" in result.stderr
    made = {path.name for path in altered.glob("*.tar")}
    assert len(made) == shards - 1 and "test-insert-000001.tar" not in made and "test-remove-000000.tar" in made

    damaged.write_bytes(whole)
    result = run_script(*words)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{shards - 1} of {shards} shards are up to date" in result.stdout and "submitted 1 tasks" in result.stdout
    assert (altered / "index.json").is_file() and len(list(altered.glob("*.tar"))) == shards


def test_a_shard_that_cannot_be_scored_fails_alone_and_the_report_is_written_once_all_are(altered: Workspace) -> None:
    words = ("launch/evaluate.py", "--workspace", altered.root, *CPU, "--bootstrap", "100")
    damaged = altered.adversarial(SMALL) / "test-insert-000001.tar"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    shards = len(list(altered.shards(SMALL).glob("test-*.tar")))

    result = run_script(*words)
    assert result.returncode == 1 and f"submitted {shards} tasks of evaluate" in result.stdout, result.stderr
    failed = re.findall(
        r"job (\d+_\d) \(evaluate: 96x96/test-negative-000001.tar\) did not finish its work; its log: (\S+)",
        result.stderr,
    )
    assert len(failed) == 1 and "test-insert-000001.tar is damaged" in Path(failed[0][1]).read_text()
    assert "(evaluate-report) never started" in result.stderr
    assert not (altered.report / "done.json").exists()
    watched = run_script("launch/watch.py", "--workspace", altered.root)
    assert f"tasks: {shards - 1} of {shards} done, 1 failed" in watched.stdout
    assert "shards  96x96/test-negative-000001.tar" in watched.stdout

    damaged.write_bytes(whole)
    result = run_script(*words)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{shards - 1} of {shards} shards are scored" in result.stdout and "submitted 1 tasks" in result.stdout
    assert "positives called positive" in (altered.report / "table1.md").read_text()


def test_an_array_that_is_longer_than_the_cluster_takes_is_finished_after_all_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "max_array", lambda: 2)
    tasks = [Command(("sh", "-c", f"sleep 1; touch {tmp_path}/part-{n}")) for n in range(5)]
    count = Command(("sh", "-c", f"ls {tmp_path} | grep -c part- > {tmp_path}/index"))
    array = Array("parts", tasks, tmp_path / "run", Job("index", count, tmp_path / "run", tmp_path / "index"))
    cpu = ClusterConfig(cluster="slurm", cpu_ranks=1, cpus_per_task=1, time="20", wait=True)
    assert launch_array(array, cpu) == 0
    assert (tmp_path / "index").read_text() == "5\n"
    assert len(read_json(tmp_path / "run" / "launch.json")["job_ids"]) == 4, "three parts, and what follows"
