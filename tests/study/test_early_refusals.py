"""What an evaluation would refuse after all trainings, a study refuses before it runs or submits anything."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from clusters import leave_clusters
from conftest import SMALL, run_script
from generators import save_all, save_cad

from mammogan.data.shards.index import ShardIndex
from mammogan.io.records import write_record, write_yaml_record
from mammogan.workspace import Workspace

DIFFERS = 'evaluate: {out-of-domain: "other phantoms"}'
CHANCE = {"auc": 0.5, "auc_low": 0.4, "auc_high": 0.6}
CHANCE |= {"positives_right": 1, "positives": 2, "negatives_right": 1, "negatives": 2}


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


def cad_of(shards_sha256: str, folder: Path) -> Path:
    """The run folder of a CAD that says it was trained on shards with this fingerprint."""
    other = Workspace(folder / "theirs")
    save_cad(other, SMALL)
    run = other.cad_run(SMALL).rename(folder / "their-cad")
    write_yaml_record(run / "config.yaml", {"config": {}, "shards_sha256": shards_sha256})
    return run


def study(workspace: Workspace, words: Sequence[str | Path], settings: str = "") -> subprocess.CompletedProcess[str]:
    file = workspace.root.parent / "study.yaml"
    file.write_text(settings)
    fixed = ("--workspace", workspace.root, "--resolution", str(SMALL), "--config", file, "--cluster", "local")
    return run_script("launch/study.py", *fixed, *words)


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_cad_of_other_mammograms_is_refused_before_anything_runs(
    workspace: Workspace, tmp_path: Path, dry: list[str]
) -> None:
    cad = cad_of("0" * 64, tmp_path)
    told = study(workspace, ["--cad", cad, *dry])
    ours = ShardIndex.load(workspace.shards(SMALL)).fingerprint[:12]
    other = f"its shards have the fingerprint {'0' * 12}, these {ours}"
    assert told.returncode == 2
    assert f"their-cad was trained on other mammograms than those in {workspace.shards(SMALL)}" in told.stderr
    assert other in told.stderr and "evaluate-test would refuse it after all trainings" in told.stderr, told.stderr
    assert 'evaluate: {out-of-domain: "film, models from phantoms"}' in told.stderr
    assert told.stdout == "" and not (workspace.root / "study").exists()


def test_it_is_accepted_once_each_stage_that_uses_it_says_how_the_mammograms_differ(
    workspace: Workspace, tmp_path: Path
) -> None:
    words: list[str | Path] = ["--cad", cad_of("0" * 64, tmp_path), "--dry-run"]
    assert study(workspace, words, DIFFERS).returncode == 0
    told = study(workspace, [*words, "--objective", "study", "lesion"], DIFFERS)
    assert told.returncode == 2 and f"generate-{SMALL}-lesion would refuse it" in told.stderr, told.stderr
    both = f"{DIFFERS}\n{DIFFERS.replace('evaluate', 'generate')}"
    assert study(workspace, [*words, "--objective", "study", "lesion"], both).returncode == 0
    one_try = f"{DIFFERS}\ngenerate: {{tries: 1}}"
    assert study(workspace, [*words, "--objective", "lesion"], one_try).returncode == 0, "there no CAD chooses"


def test_a_cad_of_these_mammograms_is_accepted(workspace: Workspace, tmp_path: Path) -> None:
    cad = cad_of(ShardIndex.load(workspace.shards(SMALL)).fingerprint, tmp_path)
    told = study(workspace, ["--cad", cad, "--objective", "study", "lesion", "--dry-run"])
    assert told.returncode == 0, told.stderr


def test_of_shards_that_are_not_made_yet_nothing_says_that_the_cad_was_trained_on_them(
    phantom: Path, tmp_path: Path
) -> None:
    workspace, words = Workspace(tmp_path / "work"), ["--cohort", phantom / "labels.csv", "--dry-run"]
    words += ["--cad", cad_of("0" * 64, tmp_path)]
    told = study(workspace, words)
    assert told.returncode == 2 and "which are not made yet, will be the same" in told.stderr, told.stderr
    assert study(workspace, words, DIFFERS).returncode == 0


def test_a_section_that_names_models_elsewhere_is_looked_at_too(workspace: Workspace, tmp_path: Path) -> None:
    theirs = Workspace(tmp_path / "theirs")
    told = study(workspace, ["--dry-run"], f"evaluate: {{models: {theirs.root}}}")
    assert told.returncode == 2 and f"no CAD for {SMALL} in {theirs.cad_run(SMALL)}" in told.stderr
    told = study(workspace, ["--dry-run"], f"generate: {{models: {theirs.root}}}")
    assert told.returncode == 2 and f"no generator (remove) for {SMALL} in" in told.stderr
    save_all(theirs, SMALL)
    told = study(workspace, ["--dry-run"], f"generate: {{models: {theirs.root}}}\nevaluate: {{models: {theirs.root}}}")
    assert told.returncode == 2 and f"  generate: {{origin-unknown: [gan-{SMALL}-remove, gan-{SMALL}-insert]}}\n" in (
        told.stderr
    )
    assert f"  evaluate: {{origin-unknown: [cad-{SMALL}]}}\n" in told.stderr


def test_a_cad_that_no_generator_can_be_trained_against_is_refused_at_once(
    workspace: Workspace, tmp_path: Path
) -> None:
    unknown = "evaluate: {origin-unknown: [no_such_module:cad]}"
    told = study(workspace, ["--cad", "no_such_module:cad"], unknown)
    assert told.returncode == 2 and "'no_such_module:cad' cannot be imported here" in told.stderr, told.stderr
    cad = cad_of(ShardIndex.load(workspace.shards(SMALL)).fingerprint, tmp_path)
    write_record(cad / "done.json", {"epochs": 1, "reading": CHANCE})
    told = study(workspace, ["--cad", cad, "--dry-run"])
    assert told.returncode == 2 and "is not known to read better than chance" in told.stderr, told.stderr
    assert study(workspace, ["--cad", cad, "--dry-run"], "gan: {allow-weak-cad: true}").returncode == 0
