"""Score the shards of a split: each shard of real mammograms with the shard of its adversarial images, by the CAD.

``plan`` lists the tasks, one per shard; ``score_shard`` executes one and can be repeated; ``scored`` reads all results.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.attack.config import EvaluateConfig, column_folder, report_folder
from mammogan.attack.domain_check import check_domain
from mammogan.attack.folder import AdversarialFolder, ShardPair, pair_shards
from mammogan.data.inspect.population import Population, population_of
from mammogan.data.shards.index import IndexedShard, ShardIndex
from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.lesion.controls import CONTROLS, ControlScore, ControlTask, measure_controls
from mammogan.evaluation.phantom_truth import phantom_truth
from mammogan.evaluation.scores import Scored, score_pair
from mammogan.evaluation.scores_file import keep, read_kept, understood
from mammogan.io.atomic import sha256
from mammogan.io.shell import shell_word
from mammogan.io.terminal import say, track
from mammogan.models.networks import Critic
from mammogan.models.registry import classifier_class
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.run_folder import Run
from mammogan.training.run.trained_networks import check_same_file, choose_checkpoint, load_cad, run_of, trained_on
from mammogan.workspace import Direction, Resolution, Workspace

SCORING = 2
"""Version of the scoring; increase it when the same inputs give other scores."""


@dataclass(frozen=True)
class ScoreTask:
    """One shard to be scored by one CAD; small enough to be pickled for a cluster job."""

    workspace: Workspace
    resolution: Resolution
    split: str
    shards: ShardPair
    cad: Path
    """Checkpoint of the CAD."""
    made_from: dict[str, Any]
    """Everything that decides the scores. Scores that were made from the same values need not be made again."""
    batch: int = 4
    device: str = "auto"
    controls: ControlTask | None = None
    """Measured together with the scores, by the same CAD."""

    @property
    def name(self) -> str:
        """Name of the real shard, such as test-positive-000003.tar."""
        return self.shards.real.path.name

    @property
    def title(self) -> str:
        """Name of the shard with its report column, such as 192x160-lesion/test-positive-000003.tar."""
        return f"{column_folder(self.resolution, self.workspace.objective)}/{self.name}"

    @property
    def path(self) -> Path:
        return self.workspace.scores(self.split) / str(self.resolution) / f"{Path(self.name).stem}.json"

    def outdated(self) -> str:
        """Return why the shard has to be scored, or "" if its scores and those of its controls exist and are
        current."""
        if reason := self.read()[0]:
            return reason
        reason = self.controls.read()[0] if self.controls else ""
        return f"controls: {reason}" if reason else ""

    def read(self) -> tuple[str, list[dict[str, Any]]]:
        """Return why the shard's own scores have to be made, or "" if they are current, and the scores in the file."""
        return read_kept(self.path, self.made_from)


def plan(workspace: Workspace, resolution: Resolution, config: EvaluateConfig) -> list[ScoreTask]:
    """Return one task per real shard of the split, with the CAD and the shards pinned by sha256. Raises as
    ``Scoring.of``."""
    return Scoring.of(workspace, resolution, config).tasks()


@dataclass(frozen=True)
class Scoring:
    """Everything to be scored at one resolution and objective, and the CAD that scores it; each shard can be planned
    alone."""

    workspace: Workspace
    resolution: Resolution
    config: EvaluateConfig
    shards: Sequence[tuple[IndexedShard, ShardPair]]
    fakes: Mapping[str, str]
    """sha256 of each adversarial shard, by the name of its real shard."""
    population: Population
    unknown: tuple[str, ...]
    """Names of the models of unknown origin among those that are used."""
    cad: Path
    cad_sha256: str
    identity: tuple[Path, str] | None
    """Checkpoint of the removing generator at the end of its identity phase, and its sha256; None if it was not
    kept."""

    @classmethod
    def of(cls, workspace: Workspace, resolution: Resolution, config: EvaluateConfig) -> Scoring:
        """Plan the scoring of one resolution.

        Raise MissingInput, naming the command to run, if adversarial mammograms or a CAD are missing. Raise UserError
        if the CAD or a generator was trained on other shards than these and ``out_of_domain`` is empty, or if the split
        mixes phantoms and mammograms of patients and ``pool`` is off.
        """
        models = Workspace(config.models or workspace.root)
        run, identity = find_cad(models, resolution), find_identity(models, resolution)
        adversarial = AdversarialFolder(workspace, resolution)
        entries, index = adversarial.of_split(config.split), ShardIndex.load(workspace.shards(resolution))
        cad = choose_checkpoint(run.path)
        models_used = {(run.path.name, trained_on(cad))}
        models_used |= {(e["generator"]["run"], e.get("generator_shards_sha256")) for e in entries}
        if identity and config.controls:
            models_used.add((run_of(identity).path.name, trained_on(identity)))
        check_domain(sorted(models_used, key=str), index, config.out_of_domain, config.origin_unknown)
        population = population_of(workspace, index, index.of_split(config.split))
        if not config.pool:
            population.refuse_mixed(config.split)
        fakes = {entry["source_shard"]: entry["sha256"] for entry in entries}
        shards = pair_shards(index, adversarial, config.split)
        known = (identity, sha256(identity)) if identity else None
        cad_sha256 = sha256(cad)
        for path, found in ((cad, cad_sha256), *([known] if known else [])):
            run_of(path).check_result(path, found)
        return cls(
            workspace=workspace,
            resolution=resolution,
            config=config,
            shards=shards,
            fakes=fakes,
            population=population,
            unknown=tuple(sorted(name for name, origin in models_used if origin is None)),
            cad=cad,
            cad_sha256=cad_sha256,
            identity=known,
        )

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
        """Return the controls of a shard of positives, the same for every objective; None for negatives or if controls
        are off."""
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
    """Return the run of the CAD of this resolution. Raise MissingInput if it has no checkpoint."""
    run = Run(models.cad_run(resolution))
    if not choose_checkpoint(run.path).is_file():
        raise MissingInput(
            f"no CAD for {resolution} in {run.path}; run\n"
            f"  mammogan train-cad --workspace {shell_word(models.root)} --resolution {resolution}"
        )
    classifier_class(run.classifier)  # a class of your own that cannot be imported is found before jobs are submitted
    return run


def find_identity(models: Workspace, resolution: Resolution) -> Path | None:
    """Return the checkpoint of the removing generator after its identity phase, trained to change nothing; None if not
    kept."""
    kept = models.gan_run(resolution, Direction.REMOVE) / "checkpoints" / "identity.pt"
    return kept if kept.is_file() else None


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


def withdraw_report(workspace: Workspace, split: str) -> None:
    """Delete done.json, so that no report counts as complete while new scores are made; its pages are kept."""
    (report_folder(workspace, split) / "done.json").unlink(missing_ok=True)


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
    return [score for control in controls for score in control.scores()] if controls else None


def _remove_left_over(paths: Sequence[Path]) -> None:
    """Delete score files in the folders of ``paths`` that are not among ``paths``: their shards are gone."""
    for folder in dict.fromkeys(path.parent for path in paths):
        for left_over in set(folder.glob("*.json")) - set(paths):
            left_over.unlink(missing_ok=True)


@functools.lru_cache(maxsize=2)
def _load_pinned(checkpoint: Path, wanted: str, device: str) -> Critic:
    """Load exactly the CAD that was planned. Raise UserError if its file has changed since."""
    cad = load_cad(checkpoint.parent, device, which=str(checkpoint))
    check_same_file(checkpoint, sha256(checkpoint), wanted)
    return cad
