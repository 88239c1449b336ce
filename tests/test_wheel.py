"""The wheel of this checkout works where no checkout is: it has every module, the demo's settings and the command."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

import mammogan


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """Paths of the checkout's files that git knows."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, since building leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in tracked:
        copy = folder / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy)
    build = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-index", "--no-deps"]
    build += ["--no-build-isolation", "--wheel-dir", str(folder), str(folder / "source")]
    built = subprocess.run(build, capture_output=True, text=True, timeout=200)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """The unpacked wheel, as pip would install it."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(wheel.parent / "site")
    return wheel.parent / "site"


def python(site: Path, *words: str | Path) -> str:
    """Standard output of Python with this wheel, in a folder outside the checkout."""
    folder = site.parent / "elsewhere"
    folder.mkdir(exist_ok=True)
    result = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True, text=True, timeout=200, cwd=folder, env=os.environ | {"PYTHONPATH": str(site)},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stdout


def command(site: Path, *words: str | Path) -> str:
    return python(site, "-m", "mammogan", *words)


@pytest.fixture(scope="module")
def cohort(site: Path) -> Path:
    """The table of a phantom cohort that the wheel drew."""
    folder = site.parent / "phantom"
    command(site, "make-phantom", "--out", folder, "--patients", "16", "--size", "96x96", "--jobs", "1")
    return folder / "labels.csv"


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path, tracked: list[str]) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    ours = [name for name in names if ".dist-info/" not in name]
    assert sorted(ours) == sorted(name for name in tracked if name.startswith("mammogan/"))
    assert {"mammogan/cli/demo.yaml", "mammogan/py.typed"} <= set(ours)
    assert any(name.endswith("/LICENSE") for name in names)


def test_installing_it_gives_the_command_mammogan(site: Path) -> None:
    (entries,) = site.glob("*.dist-info/entry_points.txt")
    told = configparser.ConfigParser()
    told.read(entries)
    assert dict(told["console_scripts"]) == {"mammogan": "mammogan.cli.main:main"}


def test_it_is_the_wheel_that_answers(site: Path) -> None:
    told = python(site, "-c", "import mammogan; print(mammogan.__file__, mammogan.__version__)")
    assert told.split() == [str(site / "mammogan" / "__init__.py"), mammogan.__version__]
    assert "usage: mammogan COMMAND" in command(site, "--help")


def test_it_plans_the_demo_s_study_of_its_own_phantoms(site: Path, cohort: Path) -> None:
    settings = site / "mammogan" / "cli" / "demo.yaml"
    words = ["--cohort", cohort, "--resolution", "96x96", "--config", settings, "--cluster", "none", "--dry-run"]
    told = command(site, "study", *words)
    stages = ["make-shards", "train-cad", "train-gan", "generate", "evaluate"]
    assert [told.count(f"mammogan {stage} ") > 0 for stage in stages] == [True] * len(stages), told
    assert not (site.parent / "elsewhere" / "work").exists()


def test_it_makes_shards_of_them(site: Path, cohort: Path) -> None:
    work = site.parent / "work"
    words = ["--cohort", cohort, "--workspace", work, "--resolution", "96x96", "--jobs", "1"]
    assert "Next: mammogan train-cad" in command(site, "make-shards", *words)
    assert (work / "shards" / "96x96" / "index.json").is_file()
