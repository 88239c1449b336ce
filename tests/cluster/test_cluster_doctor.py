"""What mammogan cluster-doctor makes of what the ranks found; tests/slurm runs it on a cluster."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mammogan.cli.cluster_doctor import tell
from mammogan.cluster import doctor
from mammogan.cluster.doctor import Examination, Finding, findings
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.errors import UserError


def test_each_check_is_one_line_and_the_same_finding_of_several_ranks_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = [Finding("names", True, "node1 is 10.0.0.1"), Finding("gloo", True, "2 ranks met in 0.2 s")]
    short = Finding("/dev/shm", False, "64 MB free, expected 512 MB", "more")
    assert tell({0: sound, 1: sound}, tmp_path) == 0
    assert capsys.readouterr().out.splitlines() == [
        "names           ok     node1 is 10.0.0.1",
        "gloo            ok     2 ranks met in 0.2 s",
    ]
    assert tell({0: [*sound, short], 1: [*sound, short]}, tmp_path) == 1
    told = capsys.readouterr().out
    assert told.count("WRONG  64 MB free") == 1 and "on rank 0, 1; in the profile: more" in told


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("slurmstepd: error: execve(): sh: No such file or directory\n", r"setup: \[unset SLURM_EXPORT_ENV\]"),
        (
            "error: this job was submitted from /a, which is not on this node: ...\n",
            "Use a folder that all nodes share",
        ),
        ("", "there is no error in its log"),
    ],
)
def test_a_job_that_never_began_its_work_is_explained_from_its_log(tmp_path: Path, log: str, told: str) -> None:
    file = tmp_path / "submit" / "7" / "7_0_log.out"
    file.parent.mkdir(parents=True)
    file.write_text(log)
    with pytest.raises(UserError, match=f"(?s)no rank began its work.*{told}.*7_0_log.out"):
        tell(findings(tmp_path), tmp_path)


def test_a_check_that_fails_or_is_killed_leaves_its_finding_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(job: Examination) -> str:
        raise OSError("no route to host")

    def killed(job: Examination) -> str:
        raise SystemExit(1)

    monkeypatch.setattr(doctor, "CHECKS", {"names": (fails, "exclude: NODE"), "gloo": (killed, "nodes: 1")})
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(SystemExit):
        Examination(tmp_path, ClusterConfig()).work()
    assert findings(tmp_path) == {
        3: [
            Finding("names", False, "OSError: no route to host", "exclude: NODE"),
            Finding("gloo", False, "the check never returned", "nodes: 1"),
        ]
    }


def test_a_long_tmpdir_and_little_shared_memory_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Examination(tmp_path, ClusterConfig(cpu_ranks=1))
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with pytest.raises(doctor.Unsound, match=f"has {len(os.fspath(long))} characters, expected at most 70"):
        doctor.CHECKS["TMPDIR"][0](job)
    monkeypatch.setattr(doctor, "SHM_MB", 1 << 40)
    with pytest.raises(doctor.Unsound, match="MB free, expected"):
        doctor.CHECKS["/dev/shm"][0](job)
