"""What a run folder tells about the code that made it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from mammogan.io import provenance


def git(checkout: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *words], cwd=checkout, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of one committed file in the place of ours."""
    (tmp_path / "code").mkdir()
    git(tmp_path / "code", "init")
    (tmp_path / "code" / "loss.py").write_text("alpha = 1\n")
    git(tmp_path / "code", "add", ".")
    git(tmp_path / "code", "commit", "-m", "first")
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path / "code")
    return tmp_path / "code"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "config.yaml"


def test_changes_that_are_not_committed_are_kept_and_give_the_code_back(checkout: Path, record: Path) -> None:
    (checkout / "loss.py").write_text("alpha = 0.5  # ½\n")
    (checkout / "notes.txt").write_text("not part of the code")
    provenance.write_provenance_beside(record)
    assert provenance.git_state().endswith("+changes")
    kept = record.with_name("changes.diff")
    assert "notes.txt" not in kept.read_text()
    git(checkout, "checkout", "loss.py")
    git(checkout, "apply", str(kept))
    assert (checkout / "loss.py").read_text() == "alpha = 0.5  # ½\n"


def test_for_a_clean_checkout_the_commit_is_enough(checkout: Path, record: Path) -> None:
    record.with_name("changes.diff").write_text("of an earlier start")
    provenance.write_provenance_beside(record)
    assert re.fullmatch("[0-9a-f]{40}", provenance.git_state())
    assert [path.name for path in record.parent.iterdir()] == ["packages.txt"]


def test_a_huge_change_is_cut_and_says_so(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "DIFF_CHARACTERS", 100)
    (checkout / "loss.py").write_text("alpha = 1\n" * 1000)
    assert re.search(r"\ncut here: \d+ characters, of which 100 are kept\n$", provenance.uncommitted())


def test_outside_a_checkout_the_packages_alone_are_kept(
    tmp_path: Path, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    assert provenance.git_state() == "none"
    provenance.write_provenance_beside(record)
    lines = record.with_name("packages.txt").read_text().splitlines()
    assert "torch" in [line.partition("==")[0] for line in lines] and lines == sorted(lines, key=str.lower)
    assert not record.with_name("changes.diff").exists()


def test_the_checkout_is_the_folder_that_holds_the_package() -> None:
    assert (provenance.CHECKOUT / "mammogan" / "io" / "provenance.py").is_file()
    assert (provenance.CHECKOUT / "setup.cfg").is_file()
