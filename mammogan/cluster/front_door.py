"""The scripts of launch/ and shards/ as the study knows them: their options, and the jobs that they would launch."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mammogan.cluster.launch import Array, Job
from mammogan.command_line import keys
from mammogan.config import UserError


@dataclass(frozen=True)
class FrontDoor:
    """A script of launch/ or shards/, read without running it."""

    script: Path
    options: type
    """Dataclass of its command line."""
    jobs: Callable[[Any], list[Job]] | None
    """What it would launch, where it can say."""
    arrays: Callable[[Any], list[Array]] | None
    """Of work on shards, what is left to be done of it."""

    @classmethod
    def load(cls, script: Path) -> FrontDoor:
        module = _module(script)
        return cls(script, _options_in(module), getattr(module, "jobs", None), getattr(module, "arrays", None))


def _options_in(module: ModuleType) -> type:
    """The dataclass in a front door that has the field ``workspace``."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    for value in own:
        if isinstance(value, type) and dataclasses.is_dataclass(value) and "workspace" in keys(value):
            return value
    raise UserError(f"{module.__file__}: expected a dataclass with the options, --workspace among them")


def _module(script: Path) -> ModuleType:
    if not script.is_file():
        raise UserError(f"{script}: the study needs this front door; run it from a checkout of MammoGAN")
    name = f"front door {script.resolve()}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, script)
        if spec is None or spec.loader is None:
            raise UserError(f"{script} cannot be read as Python")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
