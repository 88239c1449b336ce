"""Attacks of your own: a class by its import path, identified by its source file, its settings and the CAD.

The class is built as ``Class(cad, direction)`` and has ``alter`` (see ``methods.Attack``) and, as a class attribute,
``settings``: plain values that decide what it does. ``--attack-settings`` replaces some of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import sha256
from mammogan.models.registry import imported, source_file
from mammogan.training.run.cad_source import CadSource
from mammogan.training.run.checkpoint_files import OWN_ATTACK, CheckpointFacts, check_same_file
from mammogan.training.run.preflight import check_cad_class
from mammogan.training.run.trained_networks import check_same_cad, load_source
from mammogan.workspace import Direction


def identify(
    path: str, direction: Direction, cad: CadSource, given: Sequence[str] = ()
) -> tuple[CheckpointFacts, str, str]:
    """Identify the attack MODULE:CLASS: its facts, its settings as JSON, and the CAD's sha256. Nothing heavy is loaded.

    ``given`` are NAME=VALUE settings in place of the class's own.

    Raises UserError if it cannot be imported, MissingInput if there is no CAD to give it.
    """
    if not cad.is_there:
        raise MissingInput(
            f"no CAD in {cad.path}, and an attack of your own receives one; train it first (mammogan train-cad)"
        )
    attack = attack_class(path)
    source = source_file(attack)
    if source is None:
        raise UserError(f"--attack: expected {path} to be a class in a Python file, whose sha256 identifies it")
    try:
        settings = json.dumps(_replaced(path, getattr(attack, "settings", {}), given), sort_keys=True)
    except TypeError as error:
        raise UserError(f"--attack {path}: its settings must be plain values that JSON can hold ({error})") from error
    check_cad_class(cad)
    return (
        CheckpointFacts(source, sha256(source), "", 0, str(direction), cad.trained_on(), f"{OWN_ATTACK}{path}"),
        settings,
        cad.sha256(),
    )


def _replaced(path: str, settings: dict[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """Return an attack's settings with those of the command line; UserError for an unknown name or another type."""
    replaced = dict(settings)
    for word in given:
        name, equals, text = word.partition("=")
        if not equals or name not in settings:
            expected = ", ".join(f"{name}={value}" for name, value in settings.items()) or "none, it has no settings"
            raise UserError(f"--attack-settings {word}: {path} has {expected}")
        value = yaml.safe_load(text)
        if isinstance(settings[name], (int, float)) != isinstance(value, (int, float)):
            raise UserError(f"--attack-settings {word}: expected a value like {settings[name]!r}")
        replaced[name] = value
    return replaced


def load(facts: CheckpointFacts, cad: CadSource, cad_sha256: str, settings: str, device: str) -> Any:
    """Build the attack that was identified; UserError if its source file or the CAD has changed since."""
    check_same_file(facts.path, sha256(facts.path), facts.sha256)
    check_same_cad(cad, cad_sha256)
    own = attack_class(facts.arch.removeprefix(OWN_ATTACK))
    attack = type(own.__name__, (own,), {"settings": json.loads(settings)})
    return attack(load_source(cad, device), Direction(facts.direction or ""))


def attack_class(path: str) -> type:
    """Import MODULE:CLASS; UserError if it is no class with a method ``alter``."""
    found = imported(path, "attack")
    if not isinstance(found, type) or not hasattr(found, "alter"):
        raise UserError(f"--attack: expected {path} to be a class with a method alter, found {found!r}")
    return found
