"""A process that this package starts takes no module from the folder in which the command was typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mammogan.cluster.slurm.profile import python
from mammogan.io.own_python import python_running

CHILD = "import subprocess; from mammogan.io.own_python import python_running; "
STARTS = CHILD + "subprocess.run([*python_running('mammogan'), 'study', '--help'], check=True)"


@pytest.mark.parametrize(("isolation", "runs"), [("-P", False), ("-u", True)])
def test_a_module_in_the_current_folder_runs_in_a_child_only_if_the_command_itself_looks_there(
    tmp_path: Path, isolation: str, runs: bool
) -> None:
    (tmp_path / "yaml.py").write_text("open('ran', 'w')\nraise ImportError('planted')\n", encoding="utf-8")
    subprocess.run([sys.executable, isolation, "-c", STARTS], cwd=tmp_path, check=False, capture_output=True)
    assert (tmp_path / "ran").exists() == runs


def test_jobs_are_started_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [part for part in sys.path if part])
    assert python_running("mammogan")[1:] == ("-uP", "-m", "mammogan") and python().endswith(" -P")
    monkeypatch.syspath_prepend(tmp_path)
    assert python_running("mammogan")[1:] == ("-u", "-m", "mammogan") and not python().endswith("-P")
