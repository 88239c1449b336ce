"""What all sections of the page share: the originals, the attacks on them, the victims and their thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mammogan.attack.config import EvaluateConfig
from mammogan.attack.domain_check import check_domain
from mammogan.data.shards.index import ShardIndex
from mammogan.errors import MissingInput
from mammogan.evaluation.beyond.attack_sources import (
    Generators,
    Source,
    baseline_source,
    generator_source,
    mismatched,
    title_of,
    trained_objectives,
    trained_source,
    wrong_way_source,
)
from mammogan.evaluation.beyond.attacked import Attacked
from mammogan.evaluation.beyond.config import DeeperConfig, kept_folder
from mammogan.evaluation.beyond.kept_pixels import KeptPixels
from mammogan.evaluation.beyond.originals import Originals, Validation, choose_originals
from mammogan.evaluation.beyond.regions import Regions, lesion_regions
from mammogan.evaluation.beyond.shares import Calls, aligned
from mammogan.evaluation.operating_points import OperatingPoint, operating_points
from mammogan.evaluation.score_plan import columns, find_cad
from mammogan.evaluation.victims.export import key_file
from mammogan.evaluation.victims.image_set import ImageSet
from mammogan.evaluation.victims.kept_scores import KeptScores, Scorer
from mammogan.evaluation.victims.loading import load_victim, split_name
from mammogan.evaluation.victims.outside import read_scores
from mammogan.evaluation.victims.victim import NetworkVictim, Victim
from mammogan.io.terminal import say
from mammogan.models.networks import Critic
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.cad_source import CadSource
from mammogan.training.run.trained_networks import load_source
from mammogan.workspace import Resolution, Workspace

OWN = "A"
"""Name of the victim that the attacks were made against: the workspace's CAD, or that of --cad."""


@dataclass(frozen=True)
class DeeperRun:
    """One workspace at one resolution, and what is measured on it; everything is loaded when it is needed."""

    workspace: Workspace
    resolution: Resolution
    config: DeeperConfig
    views: tuple[Workspace, ...]
    """The workspace of each objective and attack that has adversarial mammograms."""

    @classmethod
    def of(cls, workspace: Workspace, config: DeeperConfig) -> DeeperRun:
        """Plan a run. Raise MissingInput, naming the command to run, if there are no adversarial mammograms."""
        wanted = EvaluateConfig(resolution=(config.resolution,) if config.resolution else ())
        found = columns(workspace, wanted)
        resolution = found[0][1]
        return cls(workspace, resolution, config, tuple(view for view, size in found if size == resolution))

    @cached_property
    def models(self) -> Workspace:
        """The workspace whose runs/ hold CAD and generators."""
        return Workspace(self.config.models or self.workspace.root)

    @cached_property
    def kept(self) -> Path:
        """Folder of what is not made twice."""
        return kept_folder(self.workspace, self.resolution)

    @cached_property
    def originals(self) -> Originals:
        return choose_originals(self.workspace, self.resolution, "test", self.config.images)

    @cached_property
    def validation(self) -> Validation:
        return Validation.of(self.workspace, self.resolution)

    @cached_property
    def regions(self) -> Regions | None:
        """Where the originals' lesions are, if that is known. Raise UserError if the file of them is another one."""
        return lesion_regions(self.workspace, self.config.regions)

    @cached_property
    def source(self) -> CadSource:
        """Where the CAD comes from. Raise MissingInput if it is not there, UserError if it is of other mammograms."""
        found = find_cad(self.models, self.resolution, self.config.cad)
        index = ShardIndex.load(self.workspace.shards(self.resolution))
        check_domain([(found.name, found.trained_on())], index, self.config.out_of_domain, self.config.origin_unknown)
        return found

    @cached_property
    def device(self) -> str:
        return str(choose_device(self.config.device))

    @cached_property
    def cad(self) -> Critic:
        return load_source(self.source, self.device)

    @cached_property
    def victims_here(self) -> list[Victim]:
        """The victims that can be asked here, A first."""
        named = [load_victim(text, self.device) for text in self.config.victim]
        return [NetworkVictim(OWN, self.source.sha256(), self.cad, self.device), *named]

    @cached_property
    def scorers(self) -> list[Scorer]:
        """All victims, A first, those whose scores come from outside last."""
        found: list[Scorer] = [
            KeptScores(victim, self.kept / "scores", self.config.batch) for victim in self.victims_here
        ]
        for text in self.config.victim_scores:
            name, table = split_name("--victim-scores", text)
            found.append(read_scores(name, Path(table), key_file(self.workspace, self.resolution)))
        return found

    @property
    def generators(self) -> Generators:
        """What the trained generators are applied with."""
        return Generators(self.models, self.resolution, self.source, self.device, self.config.batch)

    @property
    def own(self) -> Scorer:
        """The CAD that the attacks were made against."""
        return self.scorers[0]

    def points_of(self, scorer: Scorer) -> list[OperatingPoint]:
        """Return the thresholds of a victim, chosen on the validation split."""
        return operating_points(scorer.scores(self.validation.images), self.validation.positive, self.config.threshold)

    @cached_property
    def sources(self) -> list[Source]:
        """All attacks, the generators first."""
        config = self.config
        found = [generator_source(view, self.resolution) for view in self.views]
        return found + [baseline_source(text, self.cad, self.own.sha256, config.batch) for text in config.baseline]

    @cached_property
    def wrong_way_sources(self) -> dict[str, Source]:
        """Each trained generator the wrong way round, by the attack's name; those whose networks are not here are left
        out, and named."""
        found = {}
        for view in trained_objectives(self.views):
            name = title_of(view.objective)
            try:
                found[name] = wrong_way_source(view, self.generators)
            except MissingInput as error:
                say(f"note: no wrong-way control of {name}: {error}")
        return found

    def attacked(self, source: Source) -> Attacked:
        """Return an attack's images of the originals; they are made if they are not kept."""
        return KeptPixels(self.kept / "attacks").of(source, self.originals)

    @cached_property
    def learnable_sources(self) -> list[Source]:
        """Attacks that a detector is trained on: they can be made on any split. Those whose networks are not here are
        left out, and named."""
        found = []
        for view in trained_objectives(self.views):
            try:
                found.append(trained_source(view, self.generators))
            except MissingInput as error:
                say(f"note: no detector of {title_of(view.objective)}: {error}")
        chosen = [text for text in self.config.baseline if text in self.config.detect]
        return found + [baseline_source(text, self.cad, self.own.sha256, self.config.batch) for text in chosen]

    def with_controls(self, source: Source) -> list[Attacked]:
        """Return an attack's images, and, of a generator, those of its controls."""
        found = [self.attacked(source)]
        if source.kind != "generator":
            return found
        if source.name in self.wrong_way_sources:
            found.append(self.attacked(self.wrong_way_sources[source.name]))
        control = mismatched(found[0])
        return [*found, control] if control.made.any() else found

    def image_sets(self) -> list[ImageSet]:
        """Return everything that a victim scores: validation, originals, attacks and controls."""
        attacks = [attacked.as_set for source in self.sources for attacked in self.with_controls(source)]
        return [self.validation.images, self.originals.as_set, *attacks]

    def calls(self, scorer: Scorer, attacked: Attacked, threshold: float) -> Calls:
        """Return what a victim says of an attack's images and of their originals."""
        before = scorer.scores(self.originals.as_set)
        after = aligned(scorer.scores(attacked.as_set), attacked.made)
        return Calls(self.originals.patients, self.originals.positive, before, after, threshold)


def main_point(points: Sequence[OperatingPoint]) -> OperatingPoint:
    """Return the point of the tables that show one: Youden's, or the given one if there is no other."""
    return next((point for point in points if point.name == "Youden"), points[0])
