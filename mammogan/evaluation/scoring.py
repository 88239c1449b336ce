"""Score the shards of a split: each shard of real mammograms with the shard of its adversarial images, by the CAD.

``plan`` lists the tasks, one per shard; ``score_shard`` executes one and can be repeated; ``scored`` reads all results.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

from mammogan.errors import UserError
from mammogan.evaluation.lesion.controls import ControlScore, measure_controls, scores_of
from mammogan.evaluation.phantom_truth import phantom_truth
from mammogan.evaluation.score_plan import ScoreTask, withdraw_report
from mammogan.evaluation.scores import Scored, score_pair
from mammogan.evaluation.scores_file import keep, scores_in, understood
from mammogan.io.terminal import say, track
from mammogan.models.networks import Critic
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.cad_source import CadSource
from mammogan.training.run.trained_networks import check_same_cad, load_source


def score_shard(task: ScoreTask) -> bool:
    """Score one shard. Return False, and change nothing, if its scores exist and are current.

    Otherwise an earlier report no longer counts as complete, even if scoring fails.
    """
    reason = task.outdated()
    if not reason:
        say(f"{task.title}: scored before")
        return False
    withdraw_report(task.workspace, task.split)
    count = task.shards.real.count
    say(f"{task.title}: {reason}; scoring {count} mammograms")
    cad = _load_pinned(task.cad, task.made_from["cad_sha256"], str(choose_device(task.device)))
    truth = phantom_truth(task.workspace.cohort)
    if task.read()[0]:
        found = score_pair(task.shards, cad, truth, str(task.resolution), task.batch, task.workspace.objective)
        scores = [dataclasses.asdict(scored) for scored in track(found, count, f"scoring {task.name}")]
        keep(task.path, task.made_from, scores)
    if task.controls:
        measure_controls(task.controls, cad, truth)
    return True


def scored(tasks: Sequence[ScoreTask]) -> list[Scored]:
    """Return the scores of all tasks, in order, and delete leftover scores of shards that are gone. Raise UserError if
    a task is not done."""
    if undone := [f"{task.name} ({reason})" for task in tasks if (reason := task.outdated())]:
        raise UserError(f"not all mammograms are scored: {', '.join(undone)}; run the same command again")
    _remove_left_over([task.path for task in tasks])
    return [one for task in tasks for one in understood(task.path, Scored.from_json, task.read()[1])]


def control_scores(tasks: Sequence[ScoreTask]) -> list[ControlScore] | None:
    """Return the scores of the controls of these tasks; None if none are wanted."""
    controls = [task.controls for task in tasks if task.controls]
    _remove_left_over([control.path for control in controls])
    return [score for control in controls for score in scores_of(control)] if controls else None


def _remove_left_over(paths: Sequence[Path]) -> None:
    """Delete score files in the folders of ``paths`` that are not among ``paths``: their shards are gone."""
    for folder in dict.fromkeys(path.parent for path in paths):
        scores_in(folder).drop_others([path.name for path in paths if path.parent == folder])


@functools.lru_cache(maxsize=2)
def _load_pinned(source: CadSource, wanted: str, device: str) -> Critic:
    """Load exactly the CAD that was planned. Raise UserError if it has changed since."""
    cad = load_source(source, device)
    check_same_cad(source, wanted)
    return cad
