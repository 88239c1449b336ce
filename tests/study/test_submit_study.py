"""A study submitted again while some of its jobs wait or run: those are left alone, and the rest comes after them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from clusters import leave_clusters, programs, squeue_rows

from mammogan.cluster.job import Array, Job
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Command
from mammogan.errors import UserError
from mammogan.study.stage import Stage, tree
from mammogan.study.submit import StudyJobs, submit_stages

DO = Command(("true",))
NEEDS = {"cad": (), "remove": ("cad",), "insert": ("cad",), "generate": ("remove", "insert"), "evaluate": ("generate",)}


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


class Cluster:
    """Its sbatch numbers jobs from 1 on; its squeue tells what ``shows`` was given last."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        count = f"/bin/echo x >> {folder}/ids; echo Submitted batch job $(/usr/bin/wc -l < {folder}/ids)"
        sbatch, squeue = f'[ "$1" = --version ] || {{ {count}; }}', f"/bin/cat {folder}/rows"
        programs(folder / "bin", monkeypatch, srun="exit 0", sbatch=sbatch, sinfo="exit 0", squeue=squeue)
        self.shows()

    def shows(self, *rows: str) -> None:
        """Each as 'number state reason dependency'."""
        split = (row.split() for row in rows)
        lines = [f"{number} {state} {reason} 0 mammogan-x {waits_for}" for number, state, reason, waits_for in split]
        (self.folder / "rows").write_text(squeue_rows(*lines))

    def submit(self, *done: str, arrays: int = 0, **options: dict[str, object]) -> StudyJobs:
        stages = [Stage(name, ("true",), needs) for name, needs in NEEDS.items()]
        requested = {s.name: {"epochs": 3, **options.get(s.name, {})} for s in stages}
        folder, made = self.folder, self.folder / "made"
        jobs = {s.name: Job(s.name, DO, folder / s.name, made, requested=requested[s.name]) for s in stages}

        def work_of(stage: Stage, _: object) -> tuple[Job | Array, ClusterConfig]:
            job = jobs[stage.name]
            last = replace(job, name=f"{job.name}-index")
            work = Array(job.name, [DO] * arrays, job.folder, last) if arrays and stage.name == "generate" else job
            return work, ClusterConfig(cpu_ranks=1)

        found = submit_stages(stages, set(done), work_of, jobs)
        self.told = {line.split()[0]: line.split(maxsplit=1)[1] for line in tree(stages, found.state_of).splitlines()}
        return found

    def dependency(self, number: int) -> str:
        [script] = [path for path in self.folder.rglob(f"{number}_submission.sh") if not path.is_symlink()]
        return "".join(re.findall("--dependency=(.*)", script.read_text()))


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(tmp_path, monkeypatch)


def test_a_stage_that_failed_is_submitted_again_beside_its_sibling_that_runs(cluster: Cluster) -> None:
    cluster.submit()
    waits = "PENDING Dependency afterok:2(unfulfilled),afterok:3(unfulfilled)"
    cluster.shows(
        *("1 COMPLETED None (null)", "2 FAILED NonZeroExitCode (null)", "3 RUNNING None (null)", f"4 {waits}"),
        "5 PENDING Dependency afterok:4(unfulfilled)",
    )
    cluster.submit("cad")
    assert cluster.told == {
        "cad": "done", "remove": "job 6", "insert": "job 3, running", "generate": "job 7", "evaluate": "job 8",
    }  # fmt: skip
    assert [cluster.dependency(number) for number in (6, 7, 8)] == ["", "afterok:6:3", "afterok:7"]


def test_queued_and_running_jobs_are_left_as_they_are(cluster: Cluster) -> None:
    cluster.submit()
    cluster.shows(
        *("2 RUNNING None (null)", "3 COMPLETING None (null)", "4 PENDING Dependency afterok:2(unfulfilled)"),
        "5 PENDING Dependency afterok:4(unfulfilled)",
    )
    assert not cluster.submit("cad").jobs
    left = ["job 2, running", "job 3, running", "job 4, queued", "job 5, queued"]
    assert list(cluster.told.values()) == ["done", *left]


def test_cancelled_jobs_are_submitted_after_those_that_still_run(cluster: Cluster) -> None:
    cluster.submit()
    cluster.shows("2 RUNNING None (null)", "4 CANCELLED None (null)")
    cluster.submit("cad", "insert")
    assert (cluster.told["remove"], cluster.told["generate"]) == ("job 2, running", "job 6")
    assert cluster.dependency(6) == "afterok:2"


@pytest.mark.parametrize("row", ["5 RUNNING None (null)", "5 PENDING Priority (null)"])
def test_a_job_that_uses_results_to_be_made_again_is_reported_before_anything_is_submitted(
    cluster: Cluster, row: str
) -> None:
    cluster.submit()
    cluster.shows("4 COMPLETED None (null)", row)
    told = r"job 5 \(evaluate\) is queued or running and uses results that generate would make again.*\n  scancel 5"
    with pytest.raises(UserError, match=told):
        cluster.submit("cad", "remove", "insert")
    assert not list(cluster.folder.rglob("6_submission.sh"))


def test_a_job_with_other_options_is_reported_before_anything_is_submitted(cluster: Cluster) -> None:
    cluster.submit()
    cluster.shows("3 RUNNING None (null)")
    with pytest.raises(
        UserError, match=r"job 3 \(insert\) .* was requested with other options: --epochs 5 in place of 3"
    ):
        cluster.submit("cad", insert={"epochs": 5})
    assert not list(cluster.folder.rglob("6_submission.sh"))


def test_an_array_that_runs_on_after_a_failure_holds_what_needs_it(cluster: Cluster) -> None:
    cluster.submit(arrays=3)
    assert json.loads((cluster.folder / "generate" / "launch.json").read_text())["job_ids"] == ["4", "5"]
    cluster.shows(
        *("4_0 COMPLETED None (null)", "4_1 FAILED NonZeroExitCode (null)", "4_2 RUNNING None (null)"),
        *("5 PENDING Dependency afterok:4_*(unfulfilled)", "6 PENDING Dependency afterok:5(unfulfilled)"),
    )
    assert not cluster.submit("cad", "remove", "insert", arrays=3).jobs
    assert cluster.told["generate"].startswith("job 4, running, and other tasks of it failed")
    assert cluster.told["evaluate"] == "waits for generate"


def test_where_squeue_does_not_answer_no_stage_is_submitted_twice(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.submit()
    programs(cluster.folder / "bin", monkeypatch, squeue="echo down >&2; exit 1")
    with pytest.raises(UserError, match="squeue fails: down; so it is not known whether job 1, 2, 3, 4, 5 still works"):
        cluster.submit()
