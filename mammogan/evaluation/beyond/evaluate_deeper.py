"""Measure everything of the page "Beyond Table 1" on one workspace. What was made before is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mammogan.attack.config import EvaluateConfig
from mammogan.errors import MissingInput
from mammogan.evaluation.beyond.attack_sources import (
    Source,
    baseline_source,
    generator_source,
    title_of,
    trained_objectives,
    wrong_way_source,
)
from mammogan.evaluation.beyond.attacked import Attacked
from mammogan.evaluation.beyond.attacks_section import AttackRow, attacks_section
from mammogan.evaluation.beyond.config import DeeperConfig, kept_folder, page_folder
from mammogan.evaluation.beyond.kept_pixels import KeptPixels
from mammogan.evaluation.beyond.originals import Originals, Validation, choose_originals
from mammogan.evaluation.beyond.page import Facts, write_page
from mammogan.evaluation.beyond.points_section import PointsColumn, points_section
from mammogan.evaluation.beyond.section import Section
from mammogan.evaluation.beyond.shares import Calls, aligned
from mammogan.evaluation.bootstrap import Floats
from mammogan.evaluation.evaluate import columns
from mammogan.evaluation.operating_points import OperatingPoint, operating_points
from mammogan.evaluation.scoring import Scoring, scored
from mammogan.evaluation.table1 import Cases
from mammogan.evaluation.victims.kept_scores import KeptScores, Scorer
from mammogan.evaluation.victims.victim import NetworkVictim
from mammogan.io.atomic import sha256
from mammogan.io.shell import shell_word
from mammogan.io.terminal import say
from mammogan.models.networks import Critic
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.trained_networks import choose_checkpoint, load_cad
from mammogan.workspace import Direction, Resolution, Workspace

OWN = "A"
"""Name of the victim that the attacks were made against: the workspace's CAD."""


def evaluate_deeper(workspace: Workspace, config: DeeperConfig) -> Path:
    """Measure all wanted sections, write the page and evaluation.json, and return the page.

    Raise MissingInput, naming the command to run, if adversarial mammograms, their scores or a CAD are missing.
    """
    study = Study.of(workspace, config)
    makers = {"points": study.points_section, "attacks": study.attacks_section}
    sections: list[Section] = []
    for name in config.section:
        say(f"section {name}")
        sections.append(makers[name]())
    settings = dataclasses.asdict(config) | {"models": "", "section": list(config.section)}
    facts = Facts(
        str(study.resolution), len(study.originals), len(set(study.originals.patients)), study.victim_hashes(), settings
    )
    page = write_page(page_folder(workspace, study.resolution), sections, facts)
    say(f"report: {page}")
    return page


@dataclass(frozen=True)
class Study:
    """One workspace at one resolution, its CAD, and what has to be measured; everything is loaded when it is needed."""

    workspace: Workspace
    resolution: Resolution
    config: DeeperConfig
    views: tuple[Workspace, ...]
    """The workspace of each objective and attack that has adversarial mammograms."""

    @classmethod
    def of(cls, workspace: Workspace, config: DeeperConfig) -> Study:
        wanted = EvaluateConfig(resolution=(config.resolution,) if config.resolution else ())
        found = columns(workspace, wanted)
        resolution = found[0][1]
        return cls(workspace, resolution, config, tuple(view for view, size in found if size == resolution))

    @cached_property
    def models(self) -> Workspace:
        return Workspace(self.config.models or self.workspace.root)

    @cached_property
    def kept(self) -> Path:
        return kept_folder(self.workspace, self.resolution)

    @cached_property
    def originals(self) -> Originals:
        return choose_originals(self.workspace, self.resolution, "test", self.config.images)

    @cached_property
    def validation(self) -> Validation:
        return Validation.of(self.workspace, self.resolution)

    @cached_property
    def checkpoint(self) -> Path:
        path = choose_checkpoint(self.models.cad_run(self.resolution))
        if not path.is_file():
            raise MissingInput(
                f"no CAD for {self.resolution} in {path.parent}; run\n  mammogan train-cad --workspace "
                f"{shell_word(self.models.root)} --resolution {self.resolution}"
            )
        return path

    @cached_property
    def device(self) -> str:
        return str(choose_device(self.config.device))

    @cached_property
    def cad(self) -> Critic:
        return load_cad(self.checkpoint.parent, self.device, which=str(self.checkpoint))

    @cached_property
    def own(self) -> Scorer:
        """The CAD that the attacks were made against."""
        victim = NetworkVictim(OWN, sha256(self.checkpoint), self.cad, self.device)
        return KeptScores(victim, self.kept / "scores", self.config.batch)

    def victim_hashes(self) -> dict[str, str]:
        return {self.own.name: self.own.sha256}

    def points_of(self, scorer: Scorer) -> list[OperatingPoint]:
        """Return the thresholds of a victim, chosen on the validation split."""
        return operating_points(scorer.scores(self.validation.images), self.validation.positive, self.config.threshold)

    @cached_property
    def sources(self) -> list[Source]:
        """All attacks, the generators first."""
        config, batch = self.config, self.config.batch
        found = [generator_source(view, self.resolution) for view in self.views]
        found += [baseline_source(text, self.cad, self.own.sha256, batch) for text in config.baseline]
        return found

    @cached_property
    def control_sources(self) -> list[Source]:
        """Each trained generator the wrong way round; those whose networks are not here are left out, and named."""
        found = []
        for view in trained_objectives(self.views):
            try:
                found.append(wrong_way_source(view, self.models, self.resolution, self.device, self.config.batch))
            except MissingInput as error:
                say(f"note: no wrong-way control of {title_of(view.objective)}: {error}")
        return found

    def attacked(self, source: Source) -> Attacked:
        return KeptPixels(self.kept / "attacks").of(source, self.originals)

    def calls(self, scorer: Scorer, attacked: Attacked, threshold: float) -> Calls:
        """Return what a victim says of an attack's images and of their originals."""
        before = scorer.scores(self.originals.as_set)
        after = aligned(scorer.scores(attacked.as_set), attacked.made)
        return Calls(self.originals.patients, self.originals.positive, before, after, threshold)

    def points_section(self) -> Section:
        points = self.points_of(self.own)
        cases = [PointsColumn(title_of(view.objective), self._cases(view)) for view in self.views]
        probabilities: Floats = self.own.scores(self.validation.images)
        return points_section(cases, points, (probabilities, self.validation.positive))

    def _cases(self, view: Workspace) -> Cases:
        """Return the scores that mammogan evaluate has made; MissingInput if it has not."""
        wanted = EvaluateConfig(models=self.config.models, controls=False, out_of_domain="as evaluated")
        tasks = Scoring.of(view, self.resolution, wanted).tasks()
        if any(task.outdated() for task in tasks):
            raise MissingInput(
                f"the mammograms of the test split are not all scored (or their CAD changed); run\n"
                f"  mammogan evaluate --workspace {shell_word(self.workspace.root)}"
            )
        found = scored(tasks)
        return Cases.pair([s.real for s in found] + [s.fake for s in found if s.fake])

    def attacks_section(self) -> Section:
        points = self.points_of(self.own)
        rows = [self._attack_row(self.attacked(source), points) for source in self.sources]
        return attacks_section(rows, points, len(self.originals))

    def _attack_row(self, attacked: Attacked, points: Sequence[OperatingPoint]) -> AttackRow:
        fooled = {}
        for point in points:
            calls = self.calls(self.own, attacked, point.threshold)
            fooled[point.name] = {str(direction): calls.fooled(direction) for direction in Direction}
        return AttackRow(attacked.name, attacked.kind, attacked.norms(), fooled)
