"""Score real and adversarial mammograms with the CAD of their resolution and report the results (study, section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mammogan.attack.config import EvaluateConfig, report_folder
from mammogan.attack.domain_check import notice_of_another_asked_cad, notice_of_another_cad
from mammogan.attack.folder import AdversarialFolder
from mammogan.data.shards.index import ShardIndex
from mammogan.evaluation.critics import notice_of_weak_cad, notices_of_dead_critics
from mammogan.evaluation.examples import Samples, choose, collect
from mammogan.evaluation.lesion.controls import IDENTITY, ControlScore
from mammogan.evaluation.origin import cohort_facts, training_facts
from mammogan.evaluation.phantom_truth import phantom_truth
from mammogan.evaluation.predictions import PREDICTIONS_SHA256
from mammogan.evaluation.report.report import write_report
from mammogan.evaluation.result import Result, summarise
from mammogan.evaluation.score_plan import (
    PREDICTIONS,
    ScoreTask,
    Scoring,
    scorings,
    settings_of_report,
    withdraw_report,
)
from mammogan.evaluation.scores import Scored
from mammogan.evaluation.scoring import control_scores, score_shard, scored
from mammogan.io.atomic import sha256
from mammogan.io.provenance import made_by
from mammogan.io.records import write_record
from mammogan.io.terminal import say
from mammogan.statistics.bootstrap import Resampling
from mammogan.training.run.cad_record import reading_of_run
from mammogan.workspace import Direction, Resolution, Workspace


def evaluate(workspace: Workspace, config: EvaluateConfig) -> Path:
    """Do everything in this process: score what is not scored yet, write the report, and return its index.html."""
    for scoring in scorings(workspace, config):
        for task in scoring.tasks():
            score_shard(task)
    return report(workspace, config)


def report(workspace: Workspace, config: EvaluateConfig) -> Path:
    """Write the report of one split, whose shards are all scored, and return its index.html. done.json is written last.

    Raise UserError if some shards are not scored, and MissingInput if there is nothing to score.
    """
    folder = report_folder(workspace, config.split)
    withdraw_report(workspace, config.split)
    measured = scorings(workspace, config)
    results = measure_all(measured)
    files = write_report(folder, results, config)
    sizes = list(dict.fromkeys(str(r.resolution) for r in results))
    settings = settings_of_report(config)
    done = {"resolutions": sizes, "columns": [r.name for r in results], "settings": settings, "files": files}
    cads = {r.name: {"name": s.cad.name, "sha256": s.cad_sha256} for r, s in zip(results, measured, strict=True)}
    believed = {PREDICTIONS_SHA256: sha256(folder / PREDICTIONS)}
    write_record(folder / "done.json", done | believed | {"cads": cads, "made_by": made_by()})
    say(f"report: {folder / 'index.html'}")
    return folder / "index.html"


def measure_all(columns: Sequence[Scoring]) -> list[Result]:
    """Measure every column, each with the controls of its resolution."""
    controls: dict[Resolution, list[ControlScore] | None] = {}
    results = []
    for scoring in columns:
        tasks = scoring.tasks()
        scores = scored(tasks)
        controls.setdefault(scoring.resolution, control_scores(tasks))
        results.append(measure(scoring, tasks[0], scores, controls[scoring.resolution]))
    return results


def measure(
    scoring: Scoring, task: ScoreTask, scores: Sequence[Scored], controls: Sequence[ControlScore] | None
) -> Result:
    """Return all results of one resolution and objective; ``task`` is one of the tasks that made the scores."""
    workspace, resolution, config = scoring.workspace, scoring.resolution, scoring.config
    models, truth = Workspace(config.models or workspace.root), phantom_truth(workspace.cohort)
    run = task.cad.run
    made = provenance(workspace, resolution, config.split, task)
    made["training"] = training_facts(run, made["generators"], models)
    index = ShardIndex.load(workspace.shards(resolution))
    made["cohort"] = cohort_facts(workspace, index, scoring.population)
    resampling = Resampling(config.bootstrap, config.seed)
    result = summarise(
        *(resolution, scores, config.threshold, resampling, made),
        *(workspace.objective, controls),
        lost={IDENTITY: scoring.lost_identity} if scoring.lost_identity else {},
    )
    runs = {models.run(made["run"]) for made in made["generators"].values()}
    another = notice_of_another_cad(runs, made["cad_sha256"])
    asked = notice_of_another_asked_cad(
        AdversarialFolder(workspace, resolution).of_split(config.split), made["cad_sha256"]
    )
    notices = [another, asked, *notices_of_dead_critics(models.root / "runs", made["generators"].values())]
    notices += [notice_of_weak_cad(reading_of_run(run) if run else None, result.table), _notice_of_unknown(scoring)]
    notices += [_notice_of_lost_control(scoring)]
    if notice := " ".join(filter(None, notices)):
        say(f"note: {result.name}: {notice}")
    real, fake = Samples(workspace.shards(resolution)), Samples(workspace.adversarial(resolution))
    examples = {
        direction: collect(
            choose(scores, direction, config.threshold, config.examples), real, fake, truth, config.threshold
        )
        for direction in Direction
    }
    return replace(result, examples=examples, notice=notice, population=scoring.population)


def _notice_of_unknown(scoring: Scoring) -> str:
    """Return a notice of models whose weights do not say what they were trained on; empty if all do."""
    if not scoring.unknown:
        return ""
    names = " and ".join(scoring.unknown)
    return f"Origin unknown: it is not known what {names} saw in training, which may have been these mammograms."


def _notice_of_lost_control(scoring: Scoring) -> str:
    """Return a notice of a control that cannot be measured any more, as its generator was deleted; empty otherwise."""
    if not scoring.config.controls or not scoring.lost_identity:
        return ""
    return (
        f"A control is missing, the identity-trained generator: {scoring.lost_identity}. Bring it back from a copy and "
        "repeat mammogan evaluate."
    )


def provenance(workspace: Workspace, resolution: Resolution, split: str, task: ScoreTask) -> dict[str, Any]:
    """Return the sha256 of all inputs: CAD, generators, and both indexes, which contain those of all shards."""
    adversarial = AdversarialFolder(workspace, resolution)
    made = {entry["direction"]: entry["made_from"] for entry in adversarial.of_split(split)}
    return {
        "cad_sha256": task.made_from["cad_sha256"],
        "generators": {entry["direction"]: entry["generator"] for entry in adversarial.of_split(split)},
        "background": {direction: of.get("background", "as-generated") for direction, of in made.items()},
        "tries": {direction: of.get("tries", 0) for direction, of in made.items()},
        "shards_index_sha256": ShardIndex.load(workspace.shards(resolution)).sha256,
        "adversarial_index_sha256": sha256(adversarial.index),
    }
