"""Planning and submitting need no more than a login node has: nothing heavy is imported, no file is hashed twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from clusters import leave_clusters, programs
from conftest import SMALL, run_script
from dicoms import write_cohort
from test_study_arrays import trained, trained_once  # noqa: F401

from mammogan.data.shards.index import ShardIndex
from mammogan.io import hashes
from mammogan.io.atomic import write_json
from mammogan.io.hashes import Hashes
from mammogan.io.records import write_yaml_record
from mammogan.workspace import Direction, Workspace

PROGRAM = """
import importlib, json, resource, sys
from pathlib import Path
import tyro

calls, parser = [], tyro.cli
tyro.cli = lambda *words, **named: calls.append(1) or parser(*words, **named)
out, sys.argv = sys.argv[1], sys.argv[2:]
try:
    importlib.import_module(f"mammogan.cli.{sys.argv[0]}").main()
except SystemExit as ended:
    code = ended.code
used = resource.getrusage(resource.RUSAGE_SELF)
found = {n: str(getattr(m, "__file__", "")) for n, m in sys.modules.items() if n[0] != "_" and "." not in n}
installed = [name for name, file in found.items() if "site-packages" in file]
report = {"code": code, "calls": len(calls), "installed": installed, "cpu": used.ru_utime + used.ru_stime}
Path(out).write_text(json.dumps(report))
"""
ALLOWED = {"tyro", "yaml", "submitit", "cloudpickle", "typing_extensions", "typeguard", "docstring_parser"}
"""tyro and yaml with what they need, and submitit, which writes the sbatch scripts, with what it needs."""


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


def study(folder: Path, *words: str | Path, command: str = "study") -> tuple[dict[str, float], set[str], str]:
    """Run mammogan study, or another command, in a process; what it took, the installed packages that it imported, and
    its output."""
    out = folder / "report.json"
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, out, command, *words],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "80"},
    )
    assert ended.returncode == 0, ended.stderr
    report = json.loads(out.read_text())
    assert report["code"] == 0, ended.stderr
    return report, set(report["installed"]), ended.stdout


def test_a_dry_run_of_two_resolutions_parses_once_imports_nothing_heavy_and_takes_less_than_a_second(
    tmp_path: Path,
) -> None:
    table = write_cohort(tmp_path / "cohort", patients=60)
    (tmp_path / "study.yaml").write_text("shards: {shard-images: 2}\ngan: {pairs: 2, insert: {gnet-every: 3}}\n")
    words = ("--cohort", table, "--workspace", tmp_path / "work", "--resolution", "96x96", "128x96", "--dry-run")
    took, imported, shown = study(tmp_path, *words, "--config", tmp_path / "study.yaml")
    assert imported <= ALLOWED and "--array=0-" in shown
    assert took["calls"] == 1
    others = (study(tmp_path, *words)[0]["cpu"] for _ in range(3))
    assert min(took["cpu"], next(others), next(others)) < 1, "seconds"
    assert not (tmp_path / "work").exists()


def test_a_submission_of_every_kind_of_stage_imports_nothing_heavy(
    trained: Workspace,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = f"/bin/echo x >> {tmp_path}/ids; echo Submitted batch job $(/usr/bin/wc -l < {tmp_path}/ids)"
    sbatch = f'[ "$1" = --version ] || {{ {number}; }}'
    programs(tmp_path / "bin", monkeypatch, srun="exit 0", sbatch=sbatch, sinfo="exit 0", squeue="exit 0")
    (trained.gan_run(SMALL, Direction.INSERT) / "done.json").unlink()
    words = ("--workspace", trained.root, "--cluster", "slurm", "--cpu-ranks", "1")
    _, imported, shown = study(tmp_path, *words)
    assert imported <= ALLOWED and f"submitted 5 tasks of generate-{SMALL}" in shown
    (tmp_path / "ids").unlink()
    write_json(trained.gan_run(SMALL, Direction.INSERT) / "done.json", {"epochs": 1})
    for record in trained.root.rglob("launch.json"):
        record.unlink()
    _, imported, shown = study(tmp_path, *words)
    assert imported <= ALLOWED and f"submitted 2 tasks of generate-{SMALL}" in shown, "those that are missing"


@pytest.mark.parametrize("objective", ["study", "lesion"])
def test_generators_are_not_read_where_their_jobs_are_submitted_manually(
    trained: Workspace,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    objective: str,
) -> None:
    number = f"/bin/echo x >> {tmp_path}/ids; echo Submitted batch job $(/usr/bin/wc -l < {tmp_path}/ids)"
    sbatch = f'[ "$1" = --version ] || {{ {number}; }}'
    programs(tmp_path / "bin", monkeypatch, srun="exit 0", sbatch=sbatch, sinfo="exit 0", squeue="exit 0")
    fingerprint = ShardIndex.load(trained.shards(SMALL)).fingerprint
    runs = [trained.of(objective).gan_run(SMALL, direction) for direction in Direction]
    for run in (trained.cad_run(SMALL), *runs):
        if not run.exists():
            (run / "checkpoints").mkdir(parents=True)
            (run / "checkpoints" / "best.pt").write_text("no checkpoint, which the task would say")
        write_yaml_record(run / "config.yaml", {"config": {}, "shards_sha256": fingerprint})
    words = ("--workspace", trained.root, "--objective", objective, "--cluster", "slurm", "--device", "cpu")
    _, imported, shown = study(tmp_path, *words, command="generate")
    assert imported <= ALLOWED and "submitted " in shown, shown
    write_yaml_record(runs[0] / "config.yaml", {"config": {}, "shards_sha256": "0" * 64})
    told = run_script("launch/generate.py", *words, "--dry-run")
    assert told.returncode == 2 and "was trained on other mammograms" in told.stderr


def test_a_file_is_hashed_once_until_it_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, read, sha256 = tmp_path / "best.pt", list[Path](), hashes.sha256
    monkeypatch.setattr(hashes, "sha256", lambda path: read.append(path) or sha256(path))

    def digest() -> str:
        return Hashes(tmp_path / "hashes.json").of(checkpoint)

    checkpoint.write_bytes(bytes(hashes.WORTH_KEEPING))
    first = digest()
    assert digest() == first == sha256(checkpoint) and len(read) == 1
    times = checkpoint.stat()
    other = checkpoint.with_name("other.pt")
    other.write_bytes(b"1" + bytes(hashes.WORTH_KEEPING - 1))
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(checkpoint)
    assert digest() == sha256(checkpoint) != first and len(read) == 2, "same size and time, another file"
    (tmp_path / "hashes.json").write_text("{")
    assert digest() == sha256(checkpoint) and len(read) == 3, "a damaged record is made again"
