"""A few damages drawn at random; 200 of them: python tests/corruption/corrupt.py."""

from __future__ import annotations

from pathlib import Path

from corruption.corrupt import run


def test_a_damaged_workspace_is_refused_or_gives_the_right_result(tmp_path: Path) -> None:
    found = run(tmp_path, instants=12, seed=7, trained=False)
    assert not [outcome for outcome in found if outcome.verdict.isupper()]
    assert any(outcome.verdict == "refused" for outcome in found)
