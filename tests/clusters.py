"""What the tests of launching share: a ready workspace, programs on PATH, a process outside any cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.slurm.queue import COLUMNS
from mammogan.config import CadConfig
from mammogan.io import atomic
from mammogan.io.options import Flat
from mammogan.workspace import Resolution, Workspace

RANK_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Flatly:
    """Options as a training's front door has them."""

    config: Path | None = None
    training: Flat[CadConfig] = field(default=CadConfig())
    cluster: Flat[ClusterConfig] = field(default=ClusterConfig())


def leave_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rank, no job; what a test's code exports is taken back after it."""
    for name in (*RANK_NAMES, "SUBMITIT_EXECUTOR", "SLURM_JOB_ID", "SLURM_PROCID", "SLURM_STEP_ID"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def ready_workspace(root: Path) -> Workspace:
    """A workspace that says it has shards and a CAD at 96x96."""
    workspace, size = Workspace(root), Resolution(96, 96)
    index = {
        "kind": "mammograms",
        "resolution": "96x96",
        "settings": {},
        "settings_sha256": "",
        "counts": {"train": {"positive": 9, "negative": 9}},
        "excluded": [],
        "shards": [],
    }
    atomic.write_json(workspace.shards(size) / "index.json", index)
    atomic.write_json(workspace.cad_run(size) / "done.json", {"epochs": 1})
    return workspace


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Put shell programs of these names, and no others, on PATH."""
    folder.mkdir(exist_ok=True)
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def squeue_rows(*rows: str) -> str:
    """What squeue prints for jobs, each 'number state reason restarts name dependency'; the last ones may be left
    out."""
    lines = []
    for row in rows:
        cells = dict(zip(COLUMNS, row.split(), strict=False))
        lines.append("".join(cells.get(name, "").ljust(width) for name, width in COLUMNS.items()) + "\n")
    return "".join(lines)


def prints(text: str) -> str:
    """A shell program that prints a text."""
    return f"/bin/cat <<'END'\n{text}END"


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
