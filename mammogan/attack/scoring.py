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
from mammogan.attack.domain import check_domain
from mammogan.attack.scores import Scored, score_pair
from mammogan.attack.settings import EvaluateConfig, report_folder
from mammogan.attack.truth import phantom_truth
from mammogan.config import MissingInput, Resolution, UserError, Workspace
from mammogan.data.index import IndexedShard, ShardIndex
from mammogan.files import read_json, sha256, write_json
from mammogan.models.networks import Cad
from mammogan.terminal import say, track
from mammogan.training.checkpoint import Run, choose_checkpoint, load_cad, refuse_another
from mammogan.training.distributed import choose_device
from mammogan.writers import remove_torn_of

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

    @property
    def name(self) -> str:
        """That of the real shard, such as test-positive-000003.tar."""
        return self.shards.real.path.name

    @property
    def path(self) -> Path:
        return self.workspace.scores(self.split) / str(self.resolution) / f"{Path(self.name).stem}.json"

    def outdated(self) -> str:
        """Why the shard has to be scored; empty when its scores are there and current."""
        return self.read()[0]

    def read(self) -> tuple[str, list[dict[str, Any]]]:
        """Why the shard has to be scored, as ``outdated`` says, and the scores that are there."""
        if not self.path.is_file():
            return "not scored yet", []
        made = read_json(self.path)
        changed = [REASONS[name] for name, value in self.made_from.items() if made["made_from"].get(name) != value]
        return ", ".join(changed), made["scores"]


REASONS = {
    "scoring": "scored by another version",
    "cad_sha256": "the CAD changed",
    "real_sha256": "the real mammograms changed",
    "fake_sha256": "the altered mammograms changed",
    "truth_sha256": "what the phantoms know of their lesions changed",
}


def plan(workspace: Workspace, resolution: Resolution, config: EvaluateConfig) -> list[ScoreTask]:
    """One task for each real shard of the split, its CAD and what it scores pinned by sha256. Errors as of Scoring."""
    scoring = Scoring.of(workspace, resolution, config)
    return [scoring.task(shard) for shard in scoring.shards]


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

    @classmethod
    def of(cls, workspace: Workspace, resolution: Resolution, config: EvaluateConfig) -> Scoring:
        """MissingInput names the command to run when the altered mammograms or a CAD are missing; UserError when
        either, or a generator, learned from others than these, unannounced."""
        run = find_cad(Workspace(config.models) if config.models else workspace, resolution)
        altered = AlteredFolder(workspace, resolution)
        entries, index = altered.of_split(config.split), ShardIndex.load(workspace.shards(resolution))
        generators = {(e["generator"]["run"], e.get("generator_shards_sha256")) for e in entries}
        check_domain([(run.path.name, run.shards_sha256), *generators], index, config.out_of_domain)
        fakes, cad = {entry["source_shard"]: entry["sha256"] for entry in entries}, choose_checkpoint(run.path)
        shards = pair_shards(index, altered, config.split)
        return cls(workspace, resolution, config, shards, fakes, cad, sha256(cad))

    def task(self, shard: tuple[IndexedShard, ShardPair]) -> ScoreTask:
        real, pair = shard
        return ScoreTask(
            *(self.workspace, self.resolution, self.config.split, pair, self.cad),
            made_from={
                "scoring": SCORING,
                "cad_sha256": self.cad_sha256,
                "real_sha256": real.sha256,
                "fake_sha256": self.fakes.get(real.name),
                "truth_sha256": phantom_truth(self.workspace.cohort).sha256_of(sample.key for sample in real.samples),
            },
            batch=self.config.batch,
            device=self.config.device,
        )


def find_cad(models: Workspace, resolution: Resolution) -> Run:
    """The run of the CAD of this resolution. MissingInput when it has no checkpoint."""
    run = Run(models.cad_run(resolution))
    if not choose_checkpoint(run.path).is_file():
        raise MissingInput(
            f"no CAD for {resolution} in {run.path}; run\n"
            f"  python launch/train_cad.py --workspace {models.root} --resolution {resolution}"
        )
    return run


def score_shard(task: ScoreTask) -> bool:
    """Score one shard; False, and nothing is touched, when its scores are there and current. An earlier report is none
    any more, even if this fails."""
    reason = task.outdated()
    if not reason:
        say(f"{task.resolution}, {task.name}: scored before")
        return False
    withdraw_report(task.workspace, task.split)
    count = task.shards.real.count
    say(f"{task.resolution}, {task.name}: {reason}; scoring {count} mammograms")
    cad = _load_pinned(task.cad, task.made_from["cad_sha256"], str(choose_device(task.device)))
    truth = phantom_truth(task.workspace.cohort)
    found = score_pair(task.shards, cad, truth, str(task.resolution), task.batch)
    scores = [dataclasses.asdict(scored) for scored in track(found, count, f"scoring {task.name}")]
    remove_torn_of(task.path)
    write_json(task.path, {"made_from": task.made_from, "scores": scores})
    return True


def withdraw_report(workspace: Workspace, split: str) -> None:
    """Have no report pass for complete while scores are made anew that it does not know; its pages stay."""
    (report_folder(workspace, split) / "done.json").unlink(missing_ok=True)


def scored(tasks: Sequence[ScoreTask]) -> list[Scored]:
    """Scores of all tasks, in order; UserError when one is not done. Scores of shards that are gone are removed."""
    found = [(task, *task.read()) for task in tasks]
    if undone := [f"{task.name} ({reason})" for task, reason, _ in found if reason]:
        raise UserError(f"not all mammograms are scored: {', '.join(undone)}; run the same command again")
    for folder in dict.fromkeys(task.path.parent for task in tasks):
        for left_over in set(folder.glob("*.json")) - {task.path for task in tasks}:
            left_over.unlink(missing_ok=True)
    return [Scored.from_json(values) for _, _, scores in found for values in scores]


@functools.lru_cache(maxsize=2)
def _load_pinned(checkpoint: Path, wanted: str, device: str) -> Cad:
    """The very CAD that was planned with; UserError when its file has changed since."""
    cad = load_cad(checkpoint.parent, device, which=str(checkpoint))
    refuse_another(checkpoint, sha256(checkpoint), wanted)
    return cad
