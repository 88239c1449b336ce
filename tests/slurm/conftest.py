"""The development cluster for these tests: started for the first, taken down after the last unless it ran before."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import leave_clusters
from conftest import ROOT, SMALL, checked

from mammogan.workspace import Workspace
from slurm.trainings import CAD_WORDS, HOSTILE, Reference, undisturbed_training

DEVCLUSTER = ROOT / "slurm" / "devcluster"
CANNOT = 3


def script(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run up.sh or down.sh."""
    return subprocess.run([str(DEVCLUSTER / name), *words], capture_output=True, text=True, timeout=500)


def started() -> str:
    """Start what does not run of the cluster; its SLURM_CONF. Skips where this machine cannot have one."""
    up = script("up.sh")
    if up.returncode == CANNOT:
        pytest.skip(up.stderr.strip())
    assert up.returncode == 0, up.stdout + up.stderr
    return re.findall(r"export SLURM_CONF=(\S+)", up.stdout)[-1]


@pytest.fixture(scope="package")
def cluster() -> Iterator[str]:
    """The SLURM_CONF of a running cluster."""
    ran_before = script("up.sh", "--running").returncode == 0
    yield started()
    if not ran_before:
        script("down.sh")


@pytest.fixture(autouse=True)
def on_the_cluster(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)
    monkeypatch.setenv("SLURM_CONF", cluster)
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="package")
def classified(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with shards and a CAD, read-only by agreement."""
    root = tmp_path_factory.mktemp("classified") / "work"
    shutil.copytree(converted.root, root)
    checked("launch/train_cad.py", "--workspace", root, "--cluster", "none", *CAD_WORDS)
    return Workspace(root)


@pytest.fixture
def ready(classified: Workspace, tmp_path: Path) -> Workspace:
    """A workspace of one's own with those."""
    shutil.copytree(classified.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


@pytest.fixture(scope="package")
def reference(cluster: str, classified: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """What a GAN's training on two nodes ends with when nothing disturbs it."""
    root = tmp_path_factory.mktemp("reference") / "work"
    shutil.copytree(classified.root, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", cluster)
        return undisturbed_training(Workspace(root), SMALL)
