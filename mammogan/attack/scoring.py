"""Scores of one shard after the other: each shard of real mammograms with the one of its fakes, by the CAD.

``plan`` lists the tasks, one a shard; ``score_shard`` does one and may be repeated; ``scored`` reads what all made.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.attack.adversarial import AlteredFolder, ShardPair, pair_shards
from mammogan.attack.controls import CONTROLS, ControlScore, ControlTask, measure_controls
from mammogan.attack.domain import check_domain
from mammogan.attack.kept import keep, read_kept
from mammogan.attack.scores import Scored, score_pair
from mammogan.attack.settings import EvaluateConfig, column_folder, report_folder
from mammogan.attack.truth import phantom_truth
from mammogan.config import Direction, MissingInput, Resolution, UserError, Workspace
from mammogan.data.index import IndexedShard, ShardIndex
from mammogan.files import sha256
from mammogan.models.networks import Cad
from mammogan.terminal import say, track
from mammogan.training.checkpoint import Run, choose_checkpoint, load_cad, refuse_another, run_of
from mammogan.training.distributed import choose_device

SCORING = 2
"""Counts up when the same inputs give other scores."""


@dataclass(frozen=True)
class ScoreTask:
    """One shard to be scored by one CAD; small enough to be pickled for a cluster."""

    workspace: Workspace
    resolution: Resolution
    split: str
    shards: ShardPair
    cad: Path
    """Its checkpoint."""
    made_from: dict[str, Any]
    """All that decides the scores: those made from the same need not be made again."""
    batch: int = 4
    device: str = "auto"
    controls: ControlTask | None = None
    """Measured with it, by the same CAD."""

    @property
    def name(self) -> str:
        """That of the real shard, such as test-positive-000003.tar."""
        return self.shards.real.path.name

    @property
    def title(self) -> str:
        """The name with that of its column of the report, such as 192x160-lesion/test-positive-000003.tar."""
        return f"{column_folder(self.resolution, self.workspace.objective)}/{self.name}"

    @property
    def path(self) -> Path:
        return self.workspace.scores(self.split) / str(self.resolution) / f"{Path(self.name).stem}.json"

    def outdated(self) -> str:
        """Why the shard has to be scored; empty when its scores, and its controls', are there and current."""
        if reason := self.read()[0]:
            return reason
        reason = self.controls.read()[0] if self.controls else ""
        return f"controls: {reason}" if reason else ""

    def read(self) -> tuple[str, list[dict[str, Any]]]:
        """Why its own scores have to be made, empty when they are there and current; and those that are there."""
        return read_kept(self.path, self.made_from)


def plan(workspace: Workspace, resolution: Resolution, config: EvaluateConfig) -> list[ScoreTask]:
    """One task for each real shard of the split, its CAD and what it scores pinned by sha256. Errors as of Scoring."""
    return Scoring.of(workspace, resolution, config).tasks()


@dataclass(frozen=True)
class Scoring:
    """What there is to be scored at one resolution, and by what; of which a share can be planned alone."""

    workspace: Workspace
    resolution: Resolution
    config: EvaluateConfig
    shards: Sequence[tuple[IndexedShard, ShardPair]]
    fakes: Mapping[str, str]
    """sha256 of altered shards, by the name of the real one."""
    cad: Path
    cad_sha256: str
    identity: tuple[Path, str] | None
    """Checkpoint of the removing generator at the end of its identity phase, and its sha256, where one was kept."""

    @classmethod
    def of(cls, workspace: Workspace, resolution: Resolution, config: EvaluateConfig) -> Scoring:
        """MissingInput names the command to run when the altered mammograms or a CAD are missing; UserError when
        either, or a generator, learned from others than these, unannounced."""
        models = Workspace(config.models or workspace.root)
        run, identity = find_cad(models, resolution), find_identity(models, resolution)
        altered = AlteredFolder(workspace, resolution)
        entries, index = altered.of_split(config.split), ShardIndex.load(workspace.shards(resolution))
        generators = {(e["generator"]["run"], e.get("generator_shards_sha256")) for e in entries}
        if identity and config.controls:
            generators.add((run_of(identity).path.name, run_of(identity).shards_sha256))
        check_domain([(run.path.name, run.shards_sha256), *generators], index, config.out_of_domain)
        fakes, cad = {entry["source_shard"]: entry["sha256"] for entry in entries}, choose_checkpoint(run.path)
        shards = pair_shards(index, altered, config.split)
        known = (identity, sha256(identity)) if identity else None
        return cls(workspace, resolution, config, shards, fakes, cad, sha256(cad), known)

    def tasks(self) -> list[ScoreTask]:
        return [self.task(shard) for shard in self.shards]

    def task(self, shard: tuple[IndexedShard, ShardPair]) -> ScoreTask:
        real, pair = shard
        truth_sha256 = phantom_truth(self.workspace.cohort).sha256_of(sample.key for sample in real.samples)
        return ScoreTask(
            *(self.workspace, self.resolution, self.config.split, pair, self.cad),
            made_from={
                "scoring": SCORING,
                "cad_sha256": self.cad_sha256,
                "real_sha256": real.sha256,
                "fake_sha256": self.fakes.get(real.name),
                "truth_sha256": truth_sha256,
            },
            batch=self.config.batch,
            device=self.config.device,
            controls=self._controls(real, pair, truth_sha256),
        )

    def _controls(self, real: IndexedShard, pair: ShardPair, truth_sha256: list[str]) -> ControlTask | None:
        """Of positives alone, the same whatever the objective; None where they are not wanted."""
        if not self.config.controls or real.label != "positive":
            return None
        folder = Workspace(self.workspace.root).scores(self.config.split) / "controls" / str(self.resolution)
        identity, identity_sha256 = self.identity or (None, None)
        made_from = {
            "controls": CONTROLS,
            "cad_sha256": self.cad_sha256,
            "real_sha256": real.sha256,
            "truth_sha256": truth_sha256,
            "identity_sha256": identity_sha256,
        }
        path = folder / f"{Path(real.name).stem}.json"
        return ControlTask(pair.real, path, made_from, identity, self.config.batch)


def find_cad(models: Workspace, resolution: Resolution) -> Run:
    """The run of the CAD of this resolution. MissingInput when it has no checkpoint."""
    run = Run(models.cad_run(resolution))
    if not choose_checkpoint(run.path).is_file():
        raise MissingInput(
            f"no CAD for {resolution} in {run.path}; run\n"
            f"  python launch/train_cad.py --workspace {models.root} --resolution {resolution}"
        )
    return run


def find_identity(models: Workspace, resolution: Resolution) -> Path | None:
    """The removing generator as its identity phase left it: trained to change nothing. None where none was kept."""
    kept = models.gan_run(resolution, Direction.REMOVE) / "checkpoints" / "identity.pt"
    return kept if kept.is_file() else None


def score_shard(task: ScoreTask) -> bool:
    """Score one shard; False, and nothing is touched, when its scores are there and current. An earlier report is none
    any more, even if this fails."""
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


def withdraw_report(workspace: Workspace, split: str) -> None:
    """Have no report pass for complete while scores are made anew that it does not know; its pages stay."""
    (report_folder(workspace, split) / "done.json").unlink(missing_ok=True)


def scored(tasks: Sequence[ScoreTask]) -> list[Scored]:
    """Scores of all tasks, in order; UserError when one is not done. Scores of shards that are gone are removed."""
    if undone := [f"{task.name} ({reason})" for task in tasks if (reason := task.outdated())]:
        raise UserError(f"not all mammograms are scored: {', '.join(undone)}; run the same command again")
    _remove_left_over([task.path for task in tasks])
    return [Scored.from_json(values) for task in tasks for values in task.read()[1]]


def control_scores(tasks: Sequence[ScoreTask]) -> list[ControlScore] | None:
    """Scores of the controls that were measured with these tasks; None where none are wanted."""
    controls = [task.controls for task in tasks if task.controls]
    _remove_left_over([control.path for control in controls])
    return [score for control in controls for score in control.scores()] if controls else None


def _remove_left_over(paths: Sequence[Path]) -> None:
    """Remove scores, beside those of ``paths``, of shards that are gone."""
    for folder in dict.fromkeys(path.parent for path in paths):
        for left_over in set(folder.glob("*.json")) - set(paths):
            left_over.unlink(missing_ok=True)


@functools.lru_cache(maxsize=2)
def _load_pinned(checkpoint: Path, wanted: str, device: str) -> Cad:
    """The very CAD that was planned with; UserError when its file has changed since."""
    cad = load_cad(checkpoint.parent, device, which=str(checkpoint))
    refuse_another(checkpoint, sha256(checkpoint), wanted)
    return cad
