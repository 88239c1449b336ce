"""Originals can be scored alone: with a CAD and without any generator or adversarial mammogram."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from conftest import SMALL, run_script
from generators import save_cad

from mammogan.attack.config import EvaluateConfig
from mammogan.attack.model_export.export import export_model
from mammogan.data.shards.index import ShardIndex
from mammogan.errors import MissingInput
from mammogan.evaluation.original_scores import score_originals
from mammogan.training.run.trained_networks import load_cad
from mammogan.workspace import Workspace

CONFIG = EvaluateConfig(bootstrap=100, device="cpu")


def test_each_original_gets_the_cads_probability_and_the_figures_are_said(workspace: Workspace) -> None:
    save_cad(workspace, SMALL)
    words = ("--workspace", workspace.root, "--only-original", "--bootstrap", "100", "--device", "cpu")
    result = run_script("launch/evaluate.py", *words)
    assert result.returncode == 0, result.stderr
    counts = ShardIndex.load(workspace.shards(SMALL)).counts["test"]
    assert f"test: {sum(counts.values())} original mammograms" in result.stdout and "AUC: " in result.stdout
    assert f" of {counts['positive']}" in result.stdout
    with open(workspace.report / f"originals-{SMALL}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(counts.values()) and {row["kind"] for row in rows} == {"original"}
    assert not (workspace.root / "adversarial").exists() and not (workspace.report / "index.html").exists()


def test_an_exported_cad_and_another_split_will_do(workspace: Workspace, tmp_path: Path) -> None:
    save_cad(workspace, SMALL)
    run = workspace.cad_run(SMALL)
    export_model(run, tmp_path / "handed-on", device="cpu")
    own = load_cad(run)
    run.rename(run.with_name("gone"))
    config = EvaluateConfig(bootstrap=100, device="cpu", split="validation", models=tmp_path / "handed-on")
    [path] = score_originals(workspace, config)
    from mammogan.data.shards.reader import read_shard
    from mammogan.evaluation.scores import probabilities

    samples = [s for tar in sorted(workspace.shards(SMALL).glob("validation-*.tar")) for s in read_shard(tar)]
    wanted = dict(zip((s.key for s in samples), probabilities(own, samples), strict=True))
    with open(path, newline="") as file:
        found = {row["key"]: float(row["probability"]) for row in csv.DictReader(file)}
    assert found.keys() == wanted.keys()
    assert all(found[key] == pytest.approx(wanted[key], abs=1e-5) for key in wanted)


def test_without_a_cad_the_command_that_trains_one_is_named(workspace: Workspace) -> None:
    with pytest.raises(MissingInput, match="mammogan train-cad"):
        score_originals(workspace, CONFIG)
