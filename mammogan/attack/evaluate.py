"""Score real and altered mammograms with the CAD of their resolution and report what was found (study, section 6)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mammogan.attack.adversarial import AlteredFolder, pair_shards
from mammogan.attack.domain import check_domain, notice_of_another_cad
from mammogan.attack.examples import Samples, choose, collect
from mammogan.attack.report import write_report
from mammogan.attack.result import Result, summarise
from mammogan.attack.scores import score_pairs
from mammogan.attack.settings import EvaluateConfig, report_folder
from mammogan.attack.truth import PhantomTruth
from mammogan.config import Direction, MissingInput, Resolution, Workspace
from mammogan.data.index import ShardIndex
from mammogan.files import sha256, write_json
from mammogan.provenance import made_by
from mammogan.terminal import say, track
from mammogan.training.checkpoint import Run, choose_checkpoint, load_cad
from mammogan.training.distributed import choose_device


def evaluate(workspace: Workspace, config: EvaluateConfig) -> Path:
    """Write the report of one split and return its index.html. done.json is written last.

    MissingInput names the command to run when shards, altered mammograms or a CAD are missing.
    """
    folder = report_folder(workspace, config.split)
    (folder / "done.json").unlink(missing_ok=True)
    results = [measure(workspace, resolution, config) for resolution in resolutions(workspace, config)]
    write_report(folder, results, config)
    write_json(folder / "done.json", {"resolutions": [str(r.resolution) for r in results], "made_by": made_by()})
    say(f"report: {folder / 'index.html'}")
    return folder / "index.html"


def resolutions(workspace: Workspace, config: EvaluateConfig) -> list[Resolution]:
    """Those asked for, else all that have altered mammograms of the split, highest first."""
    asked = [Resolution.parse(text) for text in config.resolution]
    there = [r for r in workspace.resolutions() if AlteredFolder(workspace, r).holds(config.split)]
    if not (asked or there):
        wanted = "" if config.split == "test" else f" --split {config.split}"
        raise MissingInput(
            f"no altered mammograms of split {config.split} in {workspace.root / 'adversarial'}; run\n"
            f"  python launch/generate.py --workspace {workspace.root}{wanted}"
        )
    return asked or there


def measure(workspace: Workspace, resolution: Resolution, config: EvaluateConfig) -> Result:
    """Everything at one resolution."""
    models = Workspace(config.models) if config.models else workspace
    run = find_cad(models, resolution)
    check_models(workspace, resolution, config, run)
    pairs = pair_shards(workspace, resolution, config.split)
    cad = load_cad(run.path, choose_device(config.device))
    truth = PhantomTruth(workspace.cohort)
    total = sum(pair.real.count for pair in pairs)
    scores = score_pairs(pairs, cad, truth, str(resolution), config.batch)
    scored = list(track(scores, total, f"scoring {resolution}"))
    made = provenance(workspace, resolution, config.split, run)
    result = summarise(resolution, scored, config.threshold, config.bootstrap, config.seed, made)
    runs = {run.path.with_name(made["run"]) for made in made["generators"].values()}
    if notice := notice_of_another_cad(runs, made["cad_sha256"]):
        say(f"note: {resolution}: {notice}")
    real, fake = Samples(workspace.shards(resolution)), Samples(workspace.adversarial(resolution))
    examples = {
        direction: collect(
            choose(scored, direction, config.threshold, config.examples), real, fake, truth, config.threshold
        )
        for direction in Direction
    }
    return replace(result, examples=examples, notice=notice)


def find_cad(models: Workspace, resolution: Resolution) -> Run:
    """The run of the CAD of this resolution. MissingInput when it has no checkpoint."""
    run = Run(models.cad_run(resolution))
    if not choose_checkpoint(run.path).is_file():
        raise MissingInput(
            f"no CAD for {resolution} in {run.path}; run\n"
            f"  python launch/train_cad.py --workspace {models.root} --resolution {resolution}"
        )
    return run


def check_models(workspace: Workspace, resolution: Resolution, config: EvaluateConfig, cad: Run) -> None:
    """UserError when the CAD, or a generator of the altered mammograms, learned from others than these, unannounced."""
    check_domain(cad.path.name, cad.shards_sha256, workspace, resolution, config.out_of_domain)
    altered = AlteredFolder(workspace, resolution).of_split(config.split)
    for run, trained_on in {(e["generator"]["run"], e.get("generator_shards_sha256")) for e in altered}:
        check_domain(run, trained_on, workspace, resolution, config.out_of_domain)


def provenance(workspace: Workspace, resolution: Resolution, split: str, cad: Run) -> dict[str, Any]:
    """sha256 of what the figures come from: CAD, generators, and both indexes, which hold those of all shards."""
    altered = AlteredFolder(workspace, resolution)
    return {
        "cad_sha256": sha256(choose_checkpoint(cad.path)),
        "generators": {entry["direction"]: entry["generator"] for entry in altered.of_split(split)},
        "shards_index_sha256": ShardIndex.load(workspace.shards(resolution)).sha256,
        "adversarial_index_sha256": sha256(altered.index),
    }
