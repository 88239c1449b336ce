"""A run folder says what made it, down to changes that no commit holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

BEGIN = (
    "import sys; from pathlib import Path; from mammogan.config import CadConfig;"
    "from mammogan.training.checkpoint import Run; Run(Path(sys.argv[1])).begin(CadConfig(), {})"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The package in a repository of its own, all of it committed."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "mammogan", folder / "mammogan", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".gitignore").write_text("__pycache__/\n")
    name = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for words in (("init", "-q"), ("add", "-A"), (*name, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def begin(checkout: Path, run: Path) -> str:
    """Begin a run from a checkout; the state of the checkout by its config.yaml."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    subprocess.run([sys.executable, "-c", BEGIN, str(run)], env=environment, cwd=checkout, check=True)
    state: str = yaml.safe_load((run / "config.yaml").read_text())["made_by"]["git"]
    return state


def test_a_run_from_a_clean_checkout_names_its_commit(checkout: Path, tmp_path: Path) -> None:
    assert len(begin(checkout, tmp_path / "run")) == 40
    assert not (tmp_path / "run" / "changes.diff").exists()


def test_a_run_keeps_changes_from_which_its_checkout_can_be_made_again(checkout: Path, tmp_path: Path) -> None:
    losses = checkout / "mammogan" / "models" / "losses.py"
    losses.write_text(changed := losses.read_text() + "\nOURS = 'größer'\n", encoding="utf-8")
    assert begin(checkout, tmp_path / "run").endswith("+changes")
    subprocess.run(["git", "checkout", "-q", "."], cwd=checkout, check=True)
    subprocess.run(["git", "apply", str(tmp_path / "run" / "changes.diff")], cwd=checkout, check=True)
    assert losses.read_text(encoding="utf-8") == changed
