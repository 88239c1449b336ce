"""Score real and altered mammograms with the CAD of their resolution and report what was found (study, section 6)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mammogan.attack.adversarial import AlteredFolder
from mammogan.attack.critics import notices_of_dead_critics
from mammogan.attack.domain import notice_of_another_cad
from mammogan.attack.examples import Samples, choose, collect
from mammogan.attack.report import write_report
from mammogan.attack.result import Result, summarise
from mammogan.attack.scoring import ScoreTask, plan, score_shard, scored, withdraw_report
from mammogan.attack.settings import EvaluateConfig, report_folder
from mammogan.attack.truth import phantom_truth
from mammogan.config import Direction, MissingInput, Resolution, Workspace
from mammogan.data.index import ShardIndex
from mammogan.files import sha256, write_json
from mammogan.provenance import made_by
from mammogan.terminal import say
from mammogan.training.checkpoint import run_of


def evaluate(workspace: Workspace, config: EvaluateConfig) -> Path:
    """Everything in this process: score what is not scored, write the report, return its index.html."""
    for resolution in resolutions(workspace, config):
        for task in plan(workspace, resolution, config):
            score_shard(task)
    return report(workspace, config)


def report(workspace: Workspace, config: EvaluateConfig) -> Path:
    """Write the report of one split, all of whose shards are scored, and return its index.html; done.json comes last.

    UserError when some are not scored, MissingInput when there is nothing that could be.
    """
    folder = report_folder(workspace, config.split)
    withdraw_report(workspace, config.split)
    results = [measure(workspace, resolution, config) for resolution in resolutions(workspace, config)]
    write_report(folder, results, config)
    write_json(folder / "done.json", {"resolutions": [str(r.resolution) for r in results], "made_by": made_by()})
    say(f"report: {folder / 'index.html'}")
    return folder / "index.html"


def resolutions(workspace: Workspace, config: EvaluateConfig) -> list[Resolution]:
    """Those asked for, else all that have altered mammograms of the split, highest first."""
    if config.resolution:
        return [Resolution.parse(text) for text in config.resolution]
    there = [r for r in workspace.resolutions() if AlteredFolder(workspace, r).holds(config.split)]
    if not there:
        wanted = "" if config.split == "test" else f" --split {config.split}"
        raise MissingInput(
            f"no altered mammograms of split {config.split} in {workspace.root / 'adversarial'}; run\n"
            f"  python launch/generate.py --workspace {workspace.root}{wanted}"
        )
    return there


def measure(workspace: Workspace, resolution: Resolution, config: EvaluateConfig) -> Result:
    """Everything at one resolution."""
    tasks = plan(workspace, resolution, config)
    scores, run, truth = scored(tasks), run_of(tasks[0].cad), phantom_truth(workspace.cohort)
    made = provenance(workspace, resolution, config.split, tasks[0])
    result = summarise(resolution, scores, config.threshold, config.bootstrap, config.seed, made)
    runs = {run.path.with_name(made["run"]) for made in made["generators"].values()}
    another = notice_of_another_cad(runs, made["cad_sha256"])
    notices = [another, *notices_of_dead_critics(run.path.parent, made["generators"].values())]
    if notice := " ".join(filter(None, notices)):
        say(f"note: {resolution}: {notice}")
    real, fake = Samples(workspace.shards(resolution)), Samples(workspace.adversarial(resolution))
    examples = {
        direction: collect(
            choose(scores, direction, config.threshold, config.examples), real, fake, truth, config.threshold
        )
        for direction in Direction
    }
    return replace(result, examples=examples, notice=notice)


def provenance(workspace: Workspace, resolution: Resolution, split: str, task: ScoreTask) -> dict[str, Any]:
    """sha256 of what the figures come from: CAD, generators, and both indexes, which hold those of all shards."""
    altered = AlteredFolder(workspace, resolution)
    return {
        "cad_sha256": task.made_from["cad_sha256"],
        "generators": {entry["direction"]: entry["generator"] for entry in altered.of_split(split)},
        "background": {entry["direction"]: entry["made_from"]["background"] for entry in altered.of_split(split)},
        "shards_index_sha256": ShardIndex.load(workspace.shards(resolution)).sha256,
        "adversarial_index_sha256": sha256(altered.index),
    }
