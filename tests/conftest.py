"""A tiny phantom cohort, converted once a session; tests that change a workspace take a copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("TRITON_INTERPRET", "1")  # triton reads it when it is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # so does Hugging Face's datasets: nothing is asked of the network

from mammogan.workspace import Resolution, Workspace

if TYPE_CHECKING:
    from mammogan.data.shards.reader import Sample

ROOT = Path(__file__).resolve().parent.parent
SMALL = Resolution(96, 96)


class FilesTogether(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Where tests run in several processes, a file stays in one, and all tests of the development cluster in one."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "tests/slurm" if path.startswith("tests/slurm/") else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesTogether:
    """Schedule by FilesTogether, whatever --dist says (its groups do not work with this pytest)."""
    return FilesTogether(config, log)


def run_script(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a front door as a user does: run_script('shards/make_shards.py', '--workspace', ...)."""
    script, *rest = map(str, words)
    return subprocess.run(
        [sys.executable, str(ROOT / script), *rest], capture_output=True, text=True, timeout=300, cwd=cwd or ROOT
    )


def checked(*words: str | Path) -> str:
    """Standard output of a front door that must succeed."""
    result = run_script(*words)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stdout


def draw_phantoms(folder: Path, patients: int, seed: int, size: str, *more: str) -> Path:
    """Table of a new cohort of phantoms in ``folder``."""
    numbers = ("--patients", str(patients), "--seed", str(seed), "--size", size)
    checked("shards/make_phantom.py", "--out", folder, *numbers, "--preset", "demo", "--jobs", "1", *more)
    return folder / "labels.csv"


def positives(workspace: Workspace) -> list[Sample]:
    """The positives of the test split at 96x96."""
    from mammogan.data.shards.reader import read_shard

    return list(read_shard(workspace.shards(SMALL) / "test-positive-000000.tar"))


@pytest.fixture(scope="module")
def coarse_figures() -> Iterator[None]:
    """Figures of reports are drawn coarsely, which is fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mammogan.evaluation.report.plot_style.DPI", 40)
        yield


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a phantom cohort: 16 patients, 96x96, with twins."""
    folder = tmp_path_factory.mktemp("phantom") / "cohort"
    draw_phantoms(folder, 16, 1, "96x96", "--twins")
    return folder


@pytest.fixture(scope="session")
def converted(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The cohort's shards at 96x96, read-only by agreement."""
    root = tmp_path_factory.mktemp("converted") / "work"
    checked(
        "shards/make_shards.py", "--cohort", phantom / "labels.csv", "--workspace", root,
        "--resolution", "96x96", "--jobs", "1",
    )  # fmt: skip
    return Workspace(root)


@pytest.fixture
def workspace(converted: Workspace, tmp_path: Path) -> Workspace:
    """A workspace of one's own with those shards."""
    shutil.copytree(converted.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


@pytest.fixture(scope="session")
def altered_once(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Shards of phantoms twice as large, altered; read-only by agreement."""
    from exports import altered_phantoms

    return altered_phantoms(tmp_path_factory.mktemp("altered"))


@pytest.fixture
def altered(altered_once: Workspace, tmp_path: Path) -> Workspace:
    """That workspace for one's own."""
    shutil.copytree(altered_once.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


@pytest.fixture(scope="session")
def readable_once(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Shards with adversarial images of all splits, from which a reader study can be drawn; read-only by agreement."""
    from readings import readable_phantoms

    return readable_phantoms(converted, tmp_path_factory.mktemp("readable") / "work", "original")


@pytest.fixture
def readable(readable_once: Workspace, tmp_path: Path) -> Workspace:
    """That workspace for one's own."""
    shutil.copytree(readable_once.root, tmp_path / "work")
    return Workspace(tmp_path / "work")
