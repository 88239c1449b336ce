"""Submission: what is recorded and told, what is refused, and what SLURM's commands may fail to say."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from clusters import leave_clusters, prints, programs, ready_workspace, squeue_rows

from mammogan.cluster.job import Array, Job
from mammogan.cluster.launch import launch, launch_array
from mammogan.cluster.slurm import commands, submit, unanswered, wait
from mammogan.cluster.slurm.environment import contradicting, from_environment
from mammogan.cluster.slurm.profile import ClusterConfig, sbatch_text
from mammogan.cluster.tasks import Command, TrainGan
from mammogan.config import GanConfig
from mammogan.errors import UserError
from mammogan.workspace import Direction, Resolution, Workspace


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


@pytest.fixture
def ready(tmp_path: Path) -> Workspace:
    return ready_workspace(tmp_path / "work")


def test_a_submission_is_recorded_and_shows_how_to_follow_it(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs(tmp_path / "bin", monkeypatch, srun="exit 0", sbatch="echo Submitted batch job 41", sinfo="exit 0")
    folder = ready.gan_run(Resolution(96, 96), Direction.REMOVE)
    task = TrainGan(GanConfig(), Direction.REMOVE, ready)
    job = Job(folder.name, task, folder, folder / "done.json", pairs=2)
    assert launch([job], ClusterConfig(nodes=2, partition="gpu")) == 0
    record = json.loads((folder / "launch.json").read_text())
    assert record["job_ids"] == ["41"] and record["sbatch"]["nodes"] == 2 and record["made_by"]["mammogan"]
    told = capsys.readouterr().out
    for part in (
        "submitted job 41",
        str(folder),
        "submit/41/41_0_log.out",
        f"mammogan watch --workspace {ready.root}",
        "scancel 41",
    ):
        assert part in told
    script = (folder / "submit" / "41" / "41_submission.sh").read_text()
    assert script == submit.script(job, ClusterConfig(nodes=2, partition="gpu"))


def submitting(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """A cluster whose sbatch gives the numbers 1, 2, 3 ... and keeps the environment that each job would get."""
    number = f"$(/usr/bin/wc -l < {folder}/numbers)"
    script = f"/bin/echo x >> {folder}/numbers; /usr/bin/env > {folder}/env-{number}; echo Submitted batch job {number}"
    sbatch = f'[ "$1" = --version ] || {{ {script}; }}'
    programs(folder / "bin", monkeypatch, **({"srun": "exit 0", "sbatch": sbatch, "sinfo": "exit 0"} | scripts))


def job_in(folder: Path) -> Job:
    return Job("gan", Command(("true",)), folder, folder / "done.json", pairs=2)


def test_a_run_whose_job_is_still_queued_is_not_submitted_again(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitting(
        tmp_path,
        monkeypatch,
        squeue=prints(squeue_rows("1 RUNNING None 0 mammogan-gan", "7 RUNNING None 0 mammogan-else")),
    )
    job = job_in(ready.root / "runs" / "gan")
    assert launch([job], ClusterConfig()) == 0
    with pytest.raises(UserError, match=r"still queued or running: job 1 \(gan\).*\n  scancel 1$"):
        launch([job], ClusterConfig())
    assert len(list(job.folder.glob("submit/*/*_submission.sh"))) == 1
    assert launch([job], ClusterConfig(cluster="slurm", dry_run=True)) == 0


@pytest.mark.parametrize(
    "squeue",
    [
        "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
        "exit 0",
        prints(squeue_rows("1 RUNNING None 0 of-somebody-else")),
        prints(squeue_rows("1 COMPLETED None 0 mammogan-gan")),
    ],
)
def test_a_run_whose_job_has_ended_is_submitted_again_also_when_it_is_done(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, squeue: str
) -> None:
    submitting(tmp_path, monkeypatch, squeue=squeue)
    job = job_in(ready.root / "runs" / "gan")
    for number in ("1", "2"):
        assert launch([job], ClusterConfig()) == 0
        assert json.loads((job.folder / "launch.json").read_text())["job_ids"] == [number]
        job.complete.write_text("{}")


@pytest.mark.parametrize(
    ("squeue", "complaint"),
    [("exec /bin/sleep 9", "squeue does not answer within 0.2 s"), ("echo down >&2; exit 1", "squeue fails: down")],
)
def test_where_squeue_does_not_answer_nothing_is_submitted_twice(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, squeue: str, complaint: str
) -> None:
    submitting(tmp_path, monkeypatch, squeue=squeue)
    monkeypatch.setattr(commands, "ANSWER_SECONDS", 0.2)
    job = job_in(ready.root / "runs" / "gan")
    assert launch([job], ClusterConfig()) == 0
    with pytest.raises(UserError, match=f"{complaint}; so it is not known whether job 1 still works"):
        launch([job], ClusterConfig())


def test_waiting_continues_when_squeue_does_not_answer_for_a_while(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow_once = f"[ -e {tmp_path}/asked ] || {{ /bin/touch {tmp_path}/asked; exec /bin/sleep 9; }}"
    submitting(tmp_path, monkeypatch, squeue=f'case "$*" in *--states=all*) {slow_once};; esac')
    monkeypatch.setattr(commands, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(wait, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(wait, "FOLDER_LAG_SECONDS", 0)
    assert launch([job_in(ready.root / "runs" / "gan")], ClusterConfig(wait=True)) == 1
    told = capsys.readouterr().err
    assert "squeue does not answer within 0.2 s; trying again" in told and "job 1 (gan) never started" in told


def test_tasks_of_an_array_that_were_cancelled_leave_nothing_to_wait_for(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = squeue_rows(*(f"{job} CANCELLED None 0 mammogan-a" for job in ("1_0", "1_1", "1_2", "2")))
    submitting(tmp_path, monkeypatch, squeue=prints(rows))
    folder = ready.root / "a"
    work = Array("a", [Command(("true",))] * 3, folder, Job("index", Command(("true",)), folder, folder / "i"))
    began = time.monotonic()
    assert launch_array(work, ClusterConfig(wait=True)) == 1
    assert time.monotonic() - began < wait.FOLDER_LAG_SECONDS / 2
    assert capsys.readouterr().err.count("never started") == 4


def test_where_scontrol_does_not_answer_an_array_has_slurms_own_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "ANSWER_SECONDS", 0.2)
    programs(tmp_path / "bin", monkeypatch, scontrol="exec /bin/sleep 9")
    assert commands.max_array() == 1001
    (tmp_path / "bin" / "scontrol").unlink()
    assert commands.max_array() == 1001


def test_a_job_does_not_inherit_the_rank_of_who_submits_it(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitting(tmp_path, monkeypatch, squeue="exit 0")
    job = job_in(ready.root / "runs" / "gan")
    monkeypatch.setenv("MASTER_PORT", "12345")
    launch([job], ClusterConfig(cluster="slurm"))
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("MASTER_ADDR", "elsewhere")
    launch([job], ClusterConfig(cluster="slurm"))
    chosen, inherited = ((tmp_path / f"env-{n}").read_text().splitlines() for n in (1, 2))
    assert "MASTER_PORT=12345" in chosen
    assert not [line for line in inherited if line.startswith(("RANK=", "LOCAL_RANK=", "WORLD_SIZE=", "MASTER_"))]
    assert os.environ["RANK"] == "3" and os.environ["MASTER_PORT"] == "12345"


def test_all_jobs_of_an_array_are_recorded_and_looked_for(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitting(tmp_path, monkeypatch, squeue=prints(squeue_rows("1_3 PENDING None 0 mammogan-generate")))
    folder = ready.root / "a"
    work = Array("generate", [Command(("true",))] * 7, folder, Job("index", Command(("true",)), folder, folder / "i"))
    assert launch_array(work, ClusterConfig()) == 0
    record = json.loads((folder / "launch.json").read_text())
    assert record["job_ids"] == ["1", "2"] and record["arrays"] == {"1": ["generate"] * 7}
    with pytest.raises(UserError, match=r"job 1 \(generate\)"):
        launch_array(work, ClusterConfig())


def test_a_refusal_of_sbatch_is_shown_in_its_words(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = "echo 'sbatch: error: invalid partition specified: gpuu' >&2; exit 1"
    programs(tmp_path / "bin", monkeypatch, srun="exit 0", sbatch=f'[ "$1" = --version ] || {{ {refusal}; }}', sinfo="")
    job = Job("x", Command(("true",)), ready.root, ready.root / "done")
    with pytest.raises(UserError, match="invalid partition specified: gpuu"):
        launch([job], ClusterConfig(partition="gpuu"))


ASSOCIATIONS = "Account|Partition|MaxSubmit|MaxWall\nstudy|gpu|20|\nother|||"
QOS = "Name|MaxSubmitPU|MaxWall|MaxTRESPU\nnormal||1-00:00:00|gres/gpu=4\nfree|||"


def test_a_limit_that_is_reached_is_named_and_not_taken_for_a_wrong_account(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time)"
    programs(
        tmp_path / "bin", monkeypatch, srun="exit 0", sbatch=f'echo "sbatch: error: {said}" >&2; exit 1', sinfo="",
        sacctmgr=f"case \"$*\" in *associations*) echo '{ASSOCIATIONS}';; *) echo '{QOS}';; esac",
    )  # fmt: skip
    job = Job("x", Command(("true",)), ready.root, ready.root / "done")
    with pytest.raises(UserError, match="--tasks N makes arrays shorter") as refused:
        launch([job], ClusterConfig())
    assert "--account and --partition" not in str(refused.value)
    listed = "  Account study: MaxSubmit 20\n  Name normal: MaxWall 1-00:00:00, MaxTRESPU gres/gpu=4"
    assert str(refused.value).endswith(listed)


def test_after_no_answer_the_queue_is_asked_before_anything_is_submitted_again(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unanswered, "LATE_SECONDS", 0)
    down = "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1"
    submitting(tmp_path, monkeypatch, squeue=down)
    programs(tmp_path / "bin", monkeypatch, sbatch="echo 'sbatch: error: Socket timed out' >&2; exit 1")
    job = job_in(ready.root / "runs" / "gan")
    with pytest.raises(UserError, match="sbatch got no answer for gan: Socket timed out; squeue fails"):
        launch([job], ClusterConfig(cluster="slurm"))
    [script] = (job.folder / "submit").iterdir()
    submitting(tmp_path, monkeypatch, squeue=down)
    with pytest.raises(UserError, match="squeue fails"):
        launch([job], ClusterConfig(cluster="slurm"))
    row = squeue_rows("7 PENDING None 0 other x p a q t " + str(script))
    submitting(tmp_path, monkeypatch, squeue=prints(row), scancel=f'echo "$@" > {tmp_path}/cancelled')
    assert launch([job], ClusterConfig(cluster="slurm")) == 0
    assert (tmp_path / "cancelled").read_text() == "7\n"


def test_an_array_longer_than_the_cluster_takes_is_split_and_finished_after_all_parts(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    count = f"/bin/echo x >> {tmp_path}/ids; echo Submitted batch job $(/usr/bin/wc -l < {tmp_path}/ids)"
    sbatch = f'[ "$1" = --version ] || {{ {count}; }}'
    programs(
        tmp_path / "bin", monkeypatch, srun="exit 0", sbatch=sbatch, sinfo="exit 0",
        scontrol="echo 'MaxArraySize            = 3'",
    )  # fmt: skip
    finish = Job("index", Command(("true",)), ready.root / "a", ready.root / "a" / "index.json")
    array = Array("generate", [Command(("true", str(n))) for n in range(7)], ready.root / "a", finish, at_once=6)
    assert launch_array(array, ClusterConfig()) == 0
    told = capsys.readouterr().out
    assert "submitted 7 tasks of generate as job 1, 2, 3" in told and "after afterok:1:2:3" in told
    scripts = [(path, path.read_text()) for path in ready.root.rglob("*_submission.sh") if not path.is_symlink()]
    arrays = sorted(line for _, text in scripts for line in text.splitlines() if "--array" in line)
    assert arrays == ["#SBATCH --array=0-2%2"] * 2, "six at once, by thirds"
    assert len(list(ready.root.rglob("*_submitted.pkl"))) == 8


def script_of(config: ClusterConfig) -> str:
    return sbatch_text(config, "gan", Path("run"))


def test_only_variables_that_contradict_a_script_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SBATCH_", "SLURM_", "SRUN_"))]:
        monkeypatch.delenv(name)
    same, other = {"SBATCH_PARTITION": "gpu"}, {"SBATCH_ACCOUNT": "x", "SBATCH_MEM_PER_GPU": "9", "SBATCH_GPUS": "8"}
    left = {"SBATCH_QOS": "long", "SBATCH_EXPORT": "NONE", "SBATCH_CLUSTERS": "a"}
    for name, value in (same | other | left | {"SLURM_CONF": "/etc/x", "SRUN_CPUS_PER_TASK": "9"}).items():
        monkeypatch.setenv(name, value)
    script = script_of(ClusterConfig(partition="gpu", account="y"))
    assert contradicting(script) == other | {"SRUN_CPUS_PER_TASK": "9"}
    assert from_environment(script) == same | left
    on_cpu = script_of(ClusterConfig(cpu_ranks=1, sbatch=("mem-per-cpu=9",)))
    assert contradicting(on_cpu).keys() == {"SBATCH_MEM_PER_GPU", "SBATCH_GPUS", "SRUN_CPUS_PER_TASK"}
