"""What a training was begun with, in its config.yaml and in its checkpoints, and which of that is different now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mammogan.config import to_dict
from mammogan.workspace import Direction

BEGUN_WITH = "begun_with"
"""Name of the settings and inputs of its training in a checkpoint."""
LENGTHS = ("epochs", "stop_rules", "stop_identity", "lesion.epochs")
"""Settings that decide how long a training takes."""
OF_BANK = ("lesion.radius_mm", "lesion.bank_share", "lesion.bank_faintest", "lesion.bank_least")
"""Settings that only affect insertion in the lesion objective."""
MAY_CHANGE = (*LENGTHS, "compute", "validate_every", "allow_weak_cad", "cad")
"""Settings that may change when a training is resumed. A CAD is known by its sha256, wherever it is."""
INPUTS = {
    "cad_sha256": "the CAD is not the one it was started with (it was trained further, or again)",
    "shards_sha256": "the shards are not those it was started with (other mammograms, labels or splits)",
    "remover_sha256": "the remover is not the one whose lesions were taken (it was trained further, or again)",
    "vgg_weights_sha256": "the file of Vnet's weights is not the one it was started with",
}
"""Messages that explain a changed input of a training."""
SOURCES = {
    "classifier_source_sha256": "the source file of the classifier",
    "generator_source_sha256": "the source file of the generator",
}
"""Inputs whose change is reported and not refused: a file has other things in it, and comments."""
NOT_RECORDED_EARLIER = ("vgg_weights_sha256",)
"""Inputs that runs of earlier versions did not record."""
PATHS = ("vgg_weights", "start_from")
"""Settings that may be paths. A checkpoint is handed on without its folder, so it has only the name of the file."""


def changes(recorded: dict[str, Any], config: Any, inputs: dict[str, Any]) -> list[str]:
    """Describe which settings and inputs that decide the result differ from those of a record: a config.yaml, or what a
    checkpoint was begun with. Empty if nothing differs, or there is no record."""
    if not recorded:
        return []
    return _differing(recorded, config, settings_of(to_dict(config)), inputs)


def begun_with(config: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint records of its training: the settings and inputs that decide the result."""
    return {"config": _lasting(plain(to_dict(config))), **{n: inputs[n] for n in inputs if n not in SOURCES}}


def changes_of_checkpoint(state: dict[str, Any], config: Any, inputs: dict[str, Any]) -> list[str]:
    """Describe as ``changes`` does what differs from a checkpoint. Empty for those of earlier versions, which do not
    record it."""
    recorded = state.get(BEGUN_WITH)
    if not isinstance(recorded, dict) or not isinstance(recorded.get("config"), dict):
        return []
    return _differing(recorded, config, settings_of(_lasting(plain(to_dict(config)))), inputs)


def _differing(recorded: dict[str, Any], config: Any, requested: dict[str, Any], inputs: dict[str, Any]) -> list[str]:
    before = settings_of(to_dict(type(config)())) | settings_of(recorded["config"])  # earlier versions had fewer
    changed = [
        f"{name} was {before.get(name)}, now {value}"
        for name, value in requested.items()
        if not {name, name.partition(".")[0]} & {*MAY_CHANGE, *_unused(recorded)} and before.get(name) != value
    ]
    compared = [name for name in inputs if name in recorded or name not in (*NOT_RECORDED_EARLIER, *SOURCES)]
    differing = [name for name in compared if name not in SOURCES and recorded.get(name) != inputs[name]]
    return changed + [INPUTS.get(name, f"{name} changed") for name in differing]


def _lasting(config: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return the settings that may not change, of paths the names."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if before + name in PATHS:
            found[name] = Path(value).name
        elif before + name not in MAY_CHANGE:
            found[name] = _lasting(value, f"{before}{name}.") if isinstance(value, dict) else value
    return found


def is_bank(recorded: dict[str, Any]) -> bool:
    """Whether this is the record of the lesion objective's insertion."""
    lesion = recorded.get("config", {}).get("objective") == "lesion"
    return lesion and recorded.get("direction") == str(Direction.INSERT)


def _unused(recorded: dict[str, Any]) -> tuple[str, ...]:
    """Return the settings without effect on this record's run.

    The lesion objective's remover makes no bank; its bank learns nothing beyond what its remover, an input, has
    learned.
    """
    lesion = recorded.get("config", {}).get("lesion", {})
    names = tuple(f"lesion.{name}" for name in lesion)
    return tuple(name for name in names if (name in OF_BANK) != is_bank(recorded))


def settings_of(config: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return settings by their dotted names, as on the command line."""
    found: dict[str, Any] = {}
    for name, value in plain(config).items():
        found |= settings_of(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found


def plain(value: Any) -> Any:
    """Turn tuples into lists, so that values read from YAML compare equal."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value
