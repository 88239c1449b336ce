"""A trained network in a form that can be handed on: its weights as safetensors, with what is needed to build it.

An exported folder holds model.safetensors, config.yaml, MODEL_CARD.md and SHA256SUMS. It can stand wherever a run's
folder is read: ``mammogan.workspace.Workspace.run`` finds it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from torch import Tensor

from mammogan.io.atomic import sha256, write_text
from mammogan.io.own_files import file_exists
from mammogan.left_by_others import ours_in
from mammogan.training.run.model_card import CARD
from mammogan.training.run.safetensors_file import parsed, read_safetensors, write_safetensors
from mammogan.workspace import EXPORTED

STATE = "mammogan"
"""Name of the metadata that holds the values of a checkpoint that are no tensors, as JSON."""
NETWORKS = ("cad", "gnet")
"""Names of the networks in a checkpoint; everything else that is no plain value serves training only."""
SUMS = "SHA256SUMS"
SUM = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", re.IGNORECASE)
"""A line of it, as sha256sum writes it for text or binary files."""
BESIDE = ("config.yaml", "MODEL_CARD.md")
"""What says how a model was trained, and on what: believed only if it is what was exported."""


def write_exported(path: Path, state: dict[str, Any]) -> None:
    """Write the networks and the plain values of a checkpoint's state, and what it says of its own training."""
    networks = {name: state[name] for name in NETWORKS if name in state}
    tensors = {f"{name}.{key}": tensor for name, network in networks.items() for key, tensor in network.items()}
    plain = {name: value for name, value in state.items() if isinstance(value, str | int | float | None)}
    if CARD in state:  # what it was trained on, without which it would be of unknown origin elsewhere
        plain[CARD] = state[CARD]
    write_safetensors(path, tensors, {"format": "pt", STATE: json.dumps(plain, sort_keys=True)})


def read_exported(path: Path) -> dict[str, Any]:
    """Read a state as ``write_exported`` was given it. Raises ValueError for damaged or other files."""
    _compare_sums(path)
    tensors, metadata = read_safetensors(path)
    state = parsed(metadata.get(STATE, "null"), "its metadata are")
    if not isinstance(state, dict):
        raise ValueError("it has not been exported by MammoGAN: its metadata do not say what network it is")
    networks: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        network, _, key = name.partition(".")
        networks.setdefault(network, {})[key] = tensor
    return state | networks


def write_sums(folder: Path) -> None:
    """Write the sha256 of every file of the folder, as ``sha256sum -c SHA256SUMS`` reads them."""
    files = [path for path in ours_in(folder) if path.is_file() and path.name != SUMS]
    write_text(folder / SUMS, "".join(f"{sha256(path)}  {path.name}\n" for path in files))


def _compare_sums(path: Path) -> None:
    """Raise ValueError if the list beside it has another sha256 of it, of its settings or its card, or none of it.

    Without such a list nothing is known.
    """
    sums = path.parent / SUMS
    if not file_exists(sums):
        return
    recorded = _recorded_in(sums)
    if path.name not in recorded:
        raise ValueError(
            f"{SUMS} beside it has no line for {path.name}, so one of the two was changed, cut or renamed; where "
            f"nobody gave you a list, remove {SUMS}"
        )
    if recorded[path.name] != {sha256(path)}:
        raise ValueError(f"its sha256 is not the one in {SUMS}")
    for name in BESIDE:
        if name in recorded and file_exists(path.parent / name) and recorded[name] != {sha256(path.parent / name)}:
            raise ValueError(
                f"the sha256 of {name} beside it is not the one in {SUMS}; if you edited it on purpose, write {SUMS} "
                "again with sha256sum"
            )


def _recorded_in(sums: Path) -> dict[str, set[str]]:
    """Return what a list of sha256sum, in text or binary mode, records of each file; other lines are passed over."""
    recorded: dict[str, set[str]] = {}
    for line in sums.read_text(encoding="utf-8-sig").splitlines():
        if match := SUM.fullmatch(line.rstrip()):
            recorded.setdefault(match[2], set()).add(match[1].lower())
    return recorded


def is_exported(path: Path) -> bool:
    """Whether a checkpoint is an exported one, by its name."""
    return path.suffix == Path(EXPORTED).suffix
