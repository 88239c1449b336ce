"""Why a stage's results are not those that are requested, in words."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.config import CadConfig, GanConfig
from mammogan.io.atomic import Digest
from mammogan.io.structure import by_name, plain
from mammogan.training.run.run_folder import Run

PLACES = ("workspace", "config", "share", *(field.name for field in dataclasses.fields(ClusterConfig)))
"""Options that say where and how a stage runs, not what it makes."""
FILES = ("cohort", "checkpoint", "vgg_weights", "start_from", "cad")
"""Options whose value may be a file."""


def other_options(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return which options differ from those that results record, such as 'requested with other options: --epochs 5 in
    place of 3'; empty when none does. What is not recorded, by an earlier version, differs from nothing."""
    changed = [
        _difference(f"--{name.replace('_', '-')}", before[name], value)
        for name, value in now.items()
        if name in before and plain(before[name]) != plain(value)
    ]
    return f"requested with other options: {', '.join(changed)}" if changed else ""


def training_outdated(run: Run, config: CadConfig | GanConfig, inputs: dict[str, str]) -> str:
    """Return why a finished training is not the one that is requested, with these inputs as they are now."""
    if lost := run.lost_result:
        return f"{lost} is gone"
    if reason := other_options(*run.lengths(config)):
        return reason
    return "; ".join(run.changes(config, run.recorded(inputs)))


def first_of(reasons: Sequence[str]) -> str:
    """Return the first of several reasons, and how many more there are."""
    return f"{reasons[0]}, and {len(reasons) - 1} more" if len(reasons) > 1 else "".join(reasons)


def requested(options: Any, digest: Digest) -> dict[str, Any]:
    """Return the options of a stage that decide what is made, by name, as JSON gives them back.

    A file is named by its content: a moved one changes nothing, another one of the same name does.
    """
    found = {name: value for name, value in by_name(options).items() if name not in PLACES}
    files = {name: Path(value) for name in FILES if (value := found.get(name)) and Path(value).is_file()}
    return {**found, **{name: digest(file) for name, file in files.items()}}


def _difference(option: str, before: Any, now: Any) -> str:
    if all(isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) for value in (before, now)):
        return f"other contents of {option}"
    return f"{option} {_text(now)} in place of {_text(before)}"


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
