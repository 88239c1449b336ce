"""Plan what the CAD scores: a task for each shard, and what decides its scores. Nothing is loaded, so that a study is
planned and submitted where only the job's machine has what it takes to score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mammogan.attack.config import EvaluateConfig, column_folder, report_folder
from mammogan.attack.domain_check import check_domain
from mammogan.attack.folder import AdversarialFolder, ShardPair, option_of, pair_shards
from mammogan.data.inspect.population import Population, population_of
from mammogan.data.shards.index import IndexedShard, ShardIndex
from mammogan.errors import MissingInput
from mammogan.evaluation.lesion.control_task import CONTROLS, ControlTask
from mammogan.evaluation.phantom_record import phantom_record
from mammogan.evaluation.scores_file import read_kept
from mammogan.io.atomic import Digest, sha256
from mammogan.io.own_files import file_exists
from mammogan.io.shell import shell_word
from mammogan.training.run.cad_source import CadSource, cad_source
from mammogan.training.run.checkpoint_files import run_of, trained_on
from mammogan.training.run.preflight import check_cad_class
from mammogan.training.run.run_folder import CHECKPOINTS, Run
from mammogan.workspace import HIGH, OBJECTIVES, Direction, Resolution, Workspace

SCORING = 2
"""Version of the scoring; increase it when the same inputs give other scores."""


@dataclass(frozen=True)
class ScoreTask:
    """One shard to be scored by one CAD; small enough to be pickled for a cluster job."""

    workspace: Workspace
    resolution: Resolution
    split: str
    shards: ShardPair
    cad: CadSource
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
    cad: CadSource
    cad_sha256: str
    identity: tuple[Path, str] | None
    """Checkpoint of the removing generator at the end of its identity phase, and its sha256; None if it was not
    kept."""
    lost_identity: str
    """Why that checkpoint is missing, if the training had kept it; else empty."""

    @classmethod
    def of(
        cls, workspace: Workspace, resolution: Resolution, config: EvaluateConfig, digest: Digest = sha256
    ) -> Scoring:
        """Plan the scoring of one resolution.

        Raise MissingInput, naming the command to run, if adversarial mammograms or a CAD are missing. Raise UserError
        if the CAD or a generator was trained on other shards than these and ``out_of_domain`` is empty, or if the split
        mixes phantoms and mammograms of patients and ``pool`` is off.
        """
        models = Workspace(config.models or workspace.root)
        cad, identity = find_cad(models, resolution, config.cad), find_identity(models, resolution)
        adversarial = AdversarialFolder(workspace, resolution)
        entries, index = adversarial.of_split(config.split), ShardIndex.load(workspace.shards(resolution))
        models_used = {(cad.name, cad.trained_on())}
        models_used |= {(e["generator"]["run"], e.get("generator_shards_sha256")) for e in entries}
        if identity and config.controls:
            models_used.add((run_of(identity).path.name, trained_on(identity)))
        check_domain(sorted(models_used, key=str), index, config.out_of_domain, config.origin_unknown)
        population = population_of(workspace, index, index.of_split(config.split))
        if not config.pool:
            population.refuse_mixed(config.split)
        fakes = {entry["source_shard"]: entry["sha256"] for entry in entries}
        shards = pair_shards(index, adversarial, config.split)
        known = (identity, digest(identity)) if identity else None
        cad_sha256 = cad.sha256(digest)
        for path, found in (*([] if cad.factory else [(cad.path, cad_sha256)]), *([known] if known else [])):
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
            lost_identity="" if identity else why_identity_is_lost(models, resolution),
        )

    def tasks(self) -> list[ScoreTask]:
        return [self.task(shard) for shard in self.shards]

    def task(self, shard: tuple[IndexedShard, ShardPair]) -> ScoreTask:
        real, pair = shard
        truth_sha256 = phantom_record(self.workspace.cohort).sha256_of(sample.key for sample in real.samples)
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


def find_cad(models: Workspace, resolution: Resolution, named: str = "") -> CadSource:
    """Return the CAD that is ``named``, else that of this resolution. Raise MissingInput if it is not there."""
    cad = cad_source(models, resolution, named)
    if not cad.is_there:
        raise MissingInput(
            f"no CAD for {resolution} in {models.cad_run(resolution)}; run\n"
            f"  mammogan train-cad --workspace {shell_word(models.root)} --resolution {resolution}"
        )
    check_cad_class(cad)
    return cad


def find_identity(models: Workspace, resolution: Resolution) -> Path | None:
    """Return the checkpoint of the removing generator after its identity phase, trained to change nothing; None if not
    kept."""
    kept = _removing(models, resolution).identity
    return kept if file_exists(kept) else None


def why_identity_is_lost(models: Workspace, resolution: Resolution) -> str:
    """Return a sentence if the finished training recorded that checkpoint, which is not there now; else an empty
    string."""
    run = _removing(models, resolution)
    if run.identity.name not in run.facts.get(CHECKPOINTS, {}):
        return ""
    return f"{run.path.name}/checkpoints/{run.identity.name} is missing, though its training had kept it"


def _removing(models: Workspace, resolution: Resolution) -> Run:
    return Run(models.gan_run(resolution, Direction.REMOVE))


def scorings(workspace: Workspace, config: EvaluateConfig, digest: Digest = sha256) -> list[Scoring]:
    """Return what has to be scored, one Scoring per report column. The controls do not depend on the objective, so they
    are measured only with the first column of each resolution."""
    found: list[Scoring] = []
    for view, resolution in columns(workspace, config):
        first = all(resolution != other.resolution for other in found)
        own = config if first else replace(config, controls=False)
        found.append(Scoring.of(view, resolution, own, digest))
    return found


def columns(workspace: Workspace, config: EvaluateConfig) -> list[tuple[Workspace, Resolution]]:
    """Return the report's columns: each resolution with the workspace of each objective.

    They are the requested ones, in that order, or all that have adversarial mammograms of the split, highest resolution
    first. Raise MissingInput if a requested one has none, or if there are none at all.
    """
    views = [Workspace(workspace.root, objective) for objective in config.objective or workspace.attacks()]
    sizes = [Resolution.parse(text) for text in config.resolution] or workspace.resolutions()
    there = [(view, size) for size in sizes for view in views if _is_column(view, size, config)]
    for size in sizes if config.resolution else ():
        if size not in [found for _, found in there]:
            AdversarialFolder(views[0], size).of_split(config.split)  # raises MissingInput with the command to run
    for view in views if config.objective or not there else ():
        if view not in [found for found, _ in there]:
            raise _missing(view, config.split)
    return there


def _is_column(view: Workspace, size: Resolution, config: EvaluateConfig) -> bool:
    """Whether there is something to evaluate; a folder adversarial-NAME that no attack made, such as a copy, is not."""
    folder = AdversarialFolder(view, size)
    wanted = bool(config.objective) or view.objective in OBJECTIVES or folder.is_of_own_attack(config.split)
    return wanted and folder.holds(config.split)


def _missing(view: Workspace, split: str) -> MissingInput:
    wanted = "" if split == "test" else f" --split {split}"
    wanted += option_of(view.objective)
    return MissingInput(
        f"no adversarial mammograms of split {split} in {view.adversarial(HIGH).parent}; run\n"
        f"  mammogan generate --workspace {shell_word(view.root)}{wanted}"
    )


def withdraw_report(workspace: Workspace, split: str) -> None:
    """Delete done.json, so that no report counts as complete while new scores are made; its pages are kept."""
    done = report_folder(workspace, split) / "done.json"
    if file_exists(done):
        done.unlink(missing_ok=True)


PREDICTIONS = "predictions.csv"
FILES = (PREDICTIONS, "table1.json", "table1.csv", "table1.md", "index.html")
"""Files of every report, besides its pictures."""
NOT_IN_REPORT = ("resolution", "objective", "models", "cad", "batch", "device")
"""Settings that change no figure of a report, or only through its columns and the scores."""


def settings_of_report(config: EvaluateConfig) -> dict[str, Any]:
    """Return the settings that decide a report besides the scores; its done.json records them."""
    return {name: value for name, value in vars(config).items() if name not in NOT_IN_REPORT}
