"""The commands behind the figures of the docs can be run."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ROOT, run_script

COMMANDS = [path.name for path in sorted((ROOT / "benchmarks").glob("*.py")) if "__main__" in path.read_text()]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_benchmark_says_what_it_measures(name: str) -> None:
    told = run_script(Path("benchmarks") / name, "--help")
    assert told.returncode == 0 and "usage" in told.stdout, told.stderr
