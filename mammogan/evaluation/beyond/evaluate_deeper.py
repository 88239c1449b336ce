"""Measure everything of the page "Beyond Table 1" on one workspace. What was made before is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from mammogan.data.inspect.population import population_of
from mammogan.data.shards.index import ShardIndex
from mammogan.evaluation.beyond.config import DeeperConfig, Name, page_folder
from mammogan.evaluation.beyond.deeper_run import DeeperRun
from mammogan.evaluation.beyond.page import Facts, write_page
from mammogan.evaluation.beyond.same_cad import refuse_another_cad
from mammogan.evaluation.beyond.section import Section
from mammogan.evaluation.beyond.sections.attacks import measure_attacks
from mammogan.evaluation.beyond.sections.detection import measure_detection
from mammogan.evaluation.beyond.sections.localisation import measure_localisation
from mammogan.evaluation.beyond.sections.points import measure_points
from mammogan.evaluation.beyond.sections.realism import measure_realism
from mammogan.evaluation.beyond.sections.robustness import measure_robustness
from mammogan.evaluation.beyond.sections.transfer import measure_transfer
from mammogan.evaluation.victims.export import export_for_scoring, key_file
from mammogan.io.terminal import say
from mammogan.workspace import Workspace

MEASURES: dict[Name, Callable[[DeeperRun], Section]] = {
    "points": measure_points,
    "attacks": measure_attacks,
    "transfer": measure_transfer,
    "robustness": measure_robustness,
    "localisation": measure_localisation,
    "realism": measure_realism,
    "detection": measure_detection,
}
"""In the order of the page."""


def evaluate_deeper(workspace: Workspace, config: DeeperConfig) -> Path:
    """Measure all wanted sections, write the page and evaluation.json, and return the page.

    With ``export_for_scoring`` only the images are made and exported, and the folder is returned. Raise MissingInput,
    naming the command to run, if adversarial mammograms, their scores or a CAD are missing, or if mammogan evaluate has
    scored with another CAD.
    """
    run = DeeperRun.of(workspace, config)
    refuse_another_cad(run.views, run.resolution, run.source, config.models, config.cad)
    if config.export_for_scoring:
        key = key_file(workspace, run.resolution)
        export_for_scoring(config.export_for_scoring, key, run.image_sets(), config.export_format)
        return config.export_for_scoring
    if "localisation" in config.section:
        _ = run.regions  # those of other mammograms are refused here, instead of after hours
    sections: list[Section] = []
    for name in [name for name in MEASURES if name in config.section]:
        say(f"section {name}")
        sections.append(MEASURES[name](run))
    victims = {scorer.name: scorer.sha256 for scorer in run.scorers}
    patients, settings = set(run.originals.patients), _settings(config)
    unknown = f"Origin unknown: {', '.join(config.origin_unknown)}" if config.origin_unknown else ""
    domain = f"Out of domain: {config.out_of_domain}" if config.out_of_domain else ""
    banner = ". ".join(filter(None, (domain, unknown)))
    index = ShardIndex.load(workspace.shards(run.resolution))
    population = population_of(workspace, index, index.of_split("test"))
    facts = Facts(str(run.resolution), len(run.originals), len(patients), victims, settings, banner, population)
    page = write_page(page_folder(workspace, run.resolution), sections, facts)
    say(f"report: {page}")
    return page


def _settings(config: DeeperConfig) -> dict[str, object]:
    """Return the settings without paths, which may name people or machines."""
    held = dataclasses.asdict(config)
    for name in ("models", "cad", "export_for_scoring", "victim", "victim_scores", "vgg_weights", "regions"):
        held.pop(name)
    return held
