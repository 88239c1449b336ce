"""What a newcomer does wrong first is explained in one message: no environment, no file, numbers as labels."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, run_script

from mammogan.cli.train_gan import Options
from mammogan.data.cohort.table import read_table
from mammogan.errors import UserError
from mammogan.io.options import parse

SCRIPTS = sorted([*(ROOT / "launch").glob("*.py"), *(ROOT / "shards").glob("*.py")])
BARE = [sys.executable, "-S", "-E"]
"""A Python without any installed package."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_python_without_the_packages_is_told_in_one_line(script: Path) -> None:
    result = subprocess.run([*BARE, str(script)], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert "lacks mammogan: source .venv/bin/activate, or make install" in result.stderr


def test_the_package_itself_says_so_too() -> None:
    result = subprocess.run([*BARE, "-m", "mammogan", "train-cad"], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 1 and "make install" in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("profile", sorted((ROOT / "slurm").glob("*.yaml")), ids=lambda profile: profile.name)
def test_placeholders_of_the_examples_are_refused_by_name(profile: Path, tmp_path: Path) -> None:
    if "YOUR_" in profile.read_text():
        with pytest.raises(UserError, match=r"still has placeholders of the example: .*YOUR_"):
            parse(Options, ["--profile", str(profile)])
    mine = tmp_path / "mine.yaml"
    mine.write_text(profile.read_text().replace("YOUR_", "gpu_"))
    assert parse(Options, ["--profile", str(mine)]).cluster.cluster != "auto"


def test_a_missing_file_is_named_with_the_path_that_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"labels.csv: no such file \(tried {tmp_path}/labels.csv\)"):
        read_table(Path("labels.csv"))
    with pytest.raises(UserError, match=rf"mine.yaml: no such file \(tried {tmp_path}/mine.yaml\)"):
        parse(Options, ["--config", "mine.yaml"])


def test_labels_that_are_numbers_are_explained(tmp_path: Path) -> None:
    lines = [f"{n}.dcm,p{n},L,CC,{n % 2}" for n in range(4)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,patient,laterality,view,label", *lines]))
    for n in range(4):
        (tmp_path / f"{n}.dcm").touch()
    with pytest.raises(UserError, match="labels are words here, because some tables write 1 for cancer and others 0"):
        read_table(tmp_path / "labels.csv")


def test_options_are_grouped_each_group_with_a_text() -> None:
    shown = " ".join(run_script("launch/train_gan.py", "--help").stdout.split())
    for group, text in {
        "lesion": "Training with the lesion objective",
        "penalty": "The gradient penalty of Eq. 3 and 4",
        "compute": "How a training uses the machine",
        "cluster": "Where a stage runs",
    }.items():
        heading = shown.index(f"{group} options ")
        assert text in shown[heading : heading + 400]
    assert shown.index("--seed") < shown.index("cluster options") < shown.index("--mem-gb")


@pytest.mark.parametrize(
    ("command", "words", "expected"),
    [
        ("make-shards", ["--cohort", "labels.csv", "--fold", ""], '--fold "": .*K/N, such as 2/5: the second of five'),
        ("make-shards", ["--cohort", "labels.csv", "--max-failures="], '--max-failures "": .*Stop when more files'),
        ("make-shards", ["--cohort", ""], '--cohort "": .*The table of your mammograms'),
        ("study", ["--cad", "", "--cluster", "local"], '--cad "": .*The classifier to fool'),
        ("study", ["--config", " "], '--config "": .*YAML file with sections'),
        ("train-gan", ["--start-from", ""], '--start-from "": expected a value, found an empty text'),
        ("train-gan", ["--partition="], '--partition "": expected a value'),
        ("generate", ["--out_of_domain", " "], '--out_of_domain "": .*Required when the generators were'),
        ("evaluate", ["--objective", "study", ""], '--objective "": .*study, lesion, or the name'),
        ("pool-folds", ["", "--out", "pooled"], "expected a value, found an empty text. Is a variable of your shell"),
    ],
)
def test_an_empty_text_is_not_taken_for_an_option_that_is_left_out(
    command: str, words: list[str], expected: str
) -> None:
    module = importlib.import_module(f"mammogan.cli.{command.replace('-', '_')}")
    with pytest.raises(UserError, match=expected):
        parse(module.Options, words)


def test_an_empty_text_ends_a_command_without_a_traceback() -> None:
    told = run_script("shards/make_shards.py", "--cohort", "labels.csv", "--fold", "")
    assert told.returncode == 2 and told.stderr.startswith('error: --fold "": expected a value'), told.stderr
