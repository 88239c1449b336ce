"""The settings of a study's stages: sections of a YAML file, with parts for a resolution or a direction."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.config import SHARED_SETTINGS
from mammogan.errors import UserError
from mammogan.io.options import keys, parse, read_yaml, words_of
from mammogan.workspace import Direction, Objective, Resolution

COMMANDS = {
    "shards": "make-shards",
    "cad": "train-cad",
    "gan": "train-gan",
    "generate": "generate",
    "evaluate": "evaluate",
}
"""The command of each section."""
Settings = dict[str, Any]


def settings_for(section: Settings, resolution: Resolution | None, direction: Direction | None) -> Settings:
    """Return a section's settings for a resolution (high, low, HxW) and a direction; their parts override the rest in
    this order."""
    of_resolutions = {key: value for key, value in section.items() if resolution and _names_resolution(key)}
    directions = tuple(Direction) if direction else ()
    plain = {key: value for key, value in section.items() if key not in (*of_resolutions, *directions)}
    for key, value in of_resolutions.items():
        if Resolution.parse(key) == resolution:
            plain = merged(plain, settings_for(value, None, direction))
    return merged(plain, section.get(direction, {})) if direction else plain


def of_objective(settings: Settings, objective: Objective) -> Settings:
    """Return the settings of section 'gan' that apply to an objective: the shared ones and its own.

    Those of the lesion objective are under ``lesion``.
    """

    def applies(key: str) -> bool:
        name = key.partition(".")[0].replace("-", "_")
        of_both = name in SHARED_SETTINGS or name in keys(ClusterConfig)
        return of_both or (name == "lesion") == (objective == "lesion")

    return {key: value for key, value in settings.items() if applies(key)}


def words_of_objective(objective: str) -> list[str]:
    return [] if objective == "study" else ["--objective", objective]


def merged(below: Settings, above: Settings) -> Settings:
    """Return ``above`` over ``below``, with nested mappings merged key by key."""
    both = {key: merged(below[key], above[key]) for key in below.keys() & above.keys() if isinstance(above[key], dict)}
    return below | above | both


def read_sections(file: Path | None) -> dict[str, Settings]:
    """Read the stages' settings from the file of --config; an unknown section is an error that lists the valid ones."""
    sections = read_yaml(file) if file else {}
    if unknown := sorted(set(sections) - set(COMMANDS)):
        raise UserError(f"{file}: unknown section {', '.join(unknown)}; valid sections are {', '.join(COMMANDS)}")
    for name, section in sections.items():
        if not isinstance(section, dict) and section != "":
            raise UserError(f"{file}: section {name}: expected 'option: value' lines, found {section!r}")
    if (sections.get("generate") or {}).get("attack"):
        raise UserError(
            f"{file}: section generate: a study attacks with the generators that it trains; run mammogan generate "
            "--attack afterwards, and mammogan evaluate"
        )
    return {name: section or {} for name, section in sections.items()}


def _names_resolution(key: str) -> bool:
    return key in ("high", "low") or key.replace("x", "").isdigit()


def requests_over(cluster: ClusterConfig, requests: Settings) -> ClusterConfig:
    """Return the cluster options with a section's own requests over them."""
    parsed = parse(ClusterConfig, words_of(ClusterConfig, requests, "cluster options"))
    return dataclasses.replace(
        cluster, **{key: getattr(parsed, key) for key in (k.replace("-", "_") for k in requests)}
    )


def cluster_words(cluster: ClusterConfig, name: str) -> list[str]:
    """Return the options that tell a stage's command where to run."""
    words = ["--cluster", name]
    for key in ("gpus_per_node", "cpu_ranks"):
        if getattr(cluster, key) is not None:
            words += [f"--{key.replace('_', '-')}", str(getattr(cluster, key))]
    return words
