"""The settings of a study's stages: sections of a YAML file, with parts for a resolution or a direction."""

from __future__ import annotations

from pathlib import Path

from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.config import SHARED_SETTINGS
from mammogan.errors import UserError
from mammogan.io.options import read_yaml
from mammogan.io.structure import Values, keys, merged
from mammogan.workspace import Direction, Objective, Resolution

COMMANDS = {
    "shards": "make-shards",
    "cad": "train-cad",
    "gan": "train-gan",
    "generate": "generate",
    "evaluate": "evaluate",
}
"""The command of each section."""


def settings_for(section: Values, resolution: Resolution | None, direction: Direction | None) -> Values:
    """Return a section's settings for a resolution (high, low, HxW) and a direction; their parts override the rest in
    this order."""
    of_resolutions = {key: value for key, value in section.items() if resolution and _names_resolution(key)}
    directions = tuple(Direction) if direction else ()
    plain = {key: value for key, value in section.items() if key not in (*of_resolutions, *directions)}
    for key, value in of_resolutions.items():
        if Resolution.parse(key) == resolution:
            plain = merged(plain, settings_for(value, None, direction))
    return merged(plain, section.get(direction, {}) if direction else {})


def of_objective(settings: Values, objective: Objective) -> Values:
    """Return the settings of section 'gan' that apply to an objective: the shared ones and its own.

    Those of the lesion objective are under ``lesion``.
    """

    def applies(key: str) -> bool:
        name = key.partition(".")[0].replace("-", "_")
        of_both = name in SHARED_SETTINGS or name in keys(ClusterConfig)
        return of_both or (name == "lesion") == (objective == "lesion")

    return {key: value for key, value in settings.items() if applies(key)}


def read_sections(file: Path | None) -> dict[str, Values]:
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
