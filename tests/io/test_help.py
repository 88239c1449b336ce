"""What the command ``mammogan`` says of itself: at once, without importing what only the work needs."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
from conftest import ROOT

import mammogan
from mammogan.cli.main import COMMANDS

HEAVY = {"torch", "numpy", "pydicom"}
MOST_SECONDS = 1.5
"""Of the processor, for one --help. It takes about 0.3 s; torch alone would take longer than this."""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does; stderr lists what it imported, too."""
    line = [sys.executable, "-X", "importtime", "-m", "mammogan", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, cwd=ROOT)


def imported(stderr: str) -> set[str]:
    """Names of the packages of which something was imported, from the lines of ``-X importtime``."""
    lines = [line for line in stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def said(stderr: str) -> str:
    return "\n".join(line for line in stderr.splitlines() if not line.startswith("import time:"))


def processor_seconds() -> float:
    """Of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def lists_all_commands(text: str) -> bool:
    words = [line.split(maxsplit=1) for line in text.splitlines()]
    return all([name, purpose] in words for name, purpose in COMMANDS.items())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_at_once_and_imports_nothing_heavy(command: str) -> None:
    before = processor_seconds()
    result = run(command, "--help")
    seconds = processor_seconds() - before
    assert result.returncode == 0 and said(result.stderr) == ""
    assert f"usage: mammogan {command} " in result.stdout
    packages = imported(result.stderr)
    assert "tyro" in packages and not HEAVY & packages
    assert seconds < MOST_SECONDS


def test_the_text_of_an_option_is_broken_at_the_width_of_the_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    told = run("evaluate", "--help").stdout
    assert "sensitivity and specificity: no generators and no adversarial mammograms are needed." in told
    assert "together if the split mixes them. Every table and figure then names the parts." in told


@pytest.mark.parametrize("command", ["evaluate", "generate"])
def test_an_option_that_only_our_own_tasks_get_is_not_shown(command: str) -> None:
    told = run(command, "--help").stdout
    assert "--workspace" in told and "--share" not in told and "K/N" not in told


@pytest.mark.parametrize(("words", "code"), [((), 2), (("--help",), 0), (("-h",), 0)])
def test_alone_it_lists_all_commands_which_is_a_mistake_unless_it_was_asked_for(
    words: tuple[str, ...], code: int
) -> None:
    result = run(*words)
    assert result.returncode == code and lists_all_commands(result.stdout)


@pytest.mark.parametrize("word", ["train", "train_cad", "--workspace"])
def test_an_unknown_command_is_refused_by_name_and_all_are_listed(word: str) -> None:
    result = run(word, "--help")
    told = said(result.stderr)
    assert result.returncode == 2 and result.stdout == ""
    assert told.startswith(f"error: mammogan {word}: no such command\n") and lists_all_commands(told)


def test_it_tells_its_version() -> None:
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"{mammogan.__version__}\n")
    assert "tyro" not in imported(result.stderr)
