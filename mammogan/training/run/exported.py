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
from mammogan.training.run.safetensors_file import read_safetensors, write_safetensors
from mammogan.workspace import EXPORTED

STATE = "mammogan"
"""Name of the metadata that holds the values of a checkpoint that are no tensors, as JSON."""
NETWORKS = ("cad", "gnet")
"""Names of the networks in a checkpoint; everything else that is no plain value serves training only."""
SUMS = "SHA256SUMS"
SUM = re.compile(r"([0-9a-f]{64})  ([\w.-]+)")


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
    state = json.loads(metadata.get(STATE, "null"))
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
    """Raise ValueError if the file beside it records another sha256. Without such a file nothing is known."""
    sums = path.parent / SUMS
    recorded = dict(reversed(match) for match in SUM.findall(sums.read_text())) if file_exists(sums) else {}
    if path.name in recorded and recorded[path.name] != sha256(path):
        raise ValueError(f"its sha256 is not the one in {SUMS}")


def is_exported(path: Path) -> bool:
    """Whether a checkpoint is an exported one, by its name."""
    return path.suffix == Path(EXPORTED).suffix
