"""The folder of one training, and the states in it: atomic, self-describing, loaded without running code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from mammogan.config import MissingInput, UserError, to_dict
from mammogan.files import sha256, write_json, write_text, written_beside
from mammogan.models.networks import Cad, Gnet
from mammogan.provenance import made_by

MAY_CHANGE = ("compute", "epochs", "stop_rules", "validate_every")
"""Settings with which a training may go on although it was begun with others."""

INPUTS = {
    "cad_sha256": "the CAD is not the one it was begun against (it was trained on, or anew)",
    "shards_sha256": "the shards are not those it was begun with (other mammograms, labels or splits)",
}
"""What it means that an input of a training has changed."""


@dataclass(frozen=True)
class Run:
    """Folder of one training: config.yaml, metrics.jsonl, checkpoints/, pictures/, and done.json, written last."""

    path: Path

    @property
    def newest(self) -> Path:
        return self.path / "checkpoints" / "newest.pt"

    @property
    def best(self) -> Path:
        return self.path / "checkpoints" / "best.pt"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def done(self) -> Path:
        return self.path / "done.json"

    @property
    def shards_sha256(self) -> str | None:
        """Fingerprint of the shards it was trained on; None where it does not say."""
        found: str | None = self._record().get("shards_sha256")
        return found

    def check(self, config: Any, inputs: dict[str, Any]) -> None:
        """Refuse to go on with settings that would learn something else, or with other inputs than at the start."""
        if not self._record():
            return
        recorded, asked = self._record(), _plain(to_dict(config))
        changed = [
            f"{name} was {recorded['config'].get(name)}, now {value}"
            for name, value in asked.items()
            if name not in MAY_CHANGE and recorded["config"].get(name) != value
        ]
        changed += [INPUTS.get(name, f"{name} changed") for name in inputs if recorded.get(name) != inputs[name]]
        if changed:
            raise UserError(
                f"{self.path} was begun with other settings or inputs: {'; '.join(changed)}. "
                "Go back to those, or remove the folder to train anew"
            )

    def begin(self, config: Any, inputs: dict[str, Any]) -> None:
        """Write config.yaml. A run that goes on with more epochs is not done any more."""
        self.done.unlink(missing_ok=True)
        for torn in self.newest.parent.glob(".*.tmp"):
            torn.unlink()
        record = {"config": _plain(to_dict(config)), "made_by": made_by(), **inputs}
        write_text(self.path / "config.yaml", yaml.safe_dump(record, sort_keys=False))

    def is_finished(self, config: Any) -> bool:
        """True when this very training has ended; the same with other epochs asked for has not."""
        recorded, asked = self._record().get("config", {}), _plain(to_dict(config))
        return self.done.is_file() and all(recorded.get(n) == asked.get(n) for n in ("epochs", "stop_rules"))

    def _record(self) -> dict[str, Any]:
        settings = self.path / "config.yaml"
        return yaml.safe_load(settings.read_text(encoding="utf-8")) if settings.is_file() else {}

    def finish(self, facts: dict[str, Any]) -> None:
        write_json(self.done, facts)


def _plain(value: Any) -> Any:
    """Tuples as lists, so that what was read from YAML compares equal."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors and plain values beside ``path`` and rename: whoever sees it sees it whole."""
    with written_beside(path) as temporary:
        torch.save(state, temporary)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """A saved state; MissingInput when there is none. Code in the file is never run (weights_only)."""
    if not path.is_file():
        raise MissingInput(f"no checkpoint {path}; train first, or name another")
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def load_cad(run: Path, device: torch.device | str = "cpu", which: str = "best") -> Cad:
    """The classifier of a run, with its best validation AUC or the newest weights, in eval mode."""
    state = load(choose_checkpoint(run, which), device)
    cad = Cad(state["width"])
    cad.load_state_dict(state["cad"])
    return cad.to(device).eval()


@dataclass(frozen=True)
class CheckpointFacts:
    """Where a generator comes from."""

    path: Path
    sha256: str
    phase: str
    epoch: int
    direction: str | None = None
    """remove or insert, where it says so."""
    shards_sha256: str | None = None
    """Of what it was trained on, where its run says so."""

    @property
    def run(self) -> str:
        """Name of its run."""
        return run_of(self.path).path.name


def load_gnet(run: Path, device: torch.device | str = "cpu", which: str = "best") -> tuple[Gnet, CheckpointFacts]:
    """The generator of a run in eval mode: 'best' (highest fooled rate on validation), 'newest', or a path."""
    path = choose_checkpoint(run, which)
    state = load(path, device)
    gnet = Gnet(state["width"], state["gnet_norm"])
    gnet.load_state_dict(state["gnet"])
    origin = state.get("direction"), run_of(path).shards_sha256
    return gnet.to(device).eval(), CheckpointFacts(path, sha256(path), state["phase"], state["epoch"], *origin)


def run_of(checkpoint: Path) -> Run:
    """The run whose checkpoints/ it lies in; of a copy elsewhere, the folder that it lies in."""
    folder = checkpoint.absolute().parent
    return Run(folder.parent if folder.name == "checkpoints" else folder)


def choose_checkpoint(run: Path, which: str = "best") -> Path:
    """A path for 'best', 'newest' or a path; a run that never had a best one has its newest."""
    named = {"best": Run(run).best, "newest": Run(run).newest}
    path = named.get(which, Path(which))
    return named["newest"] if which == "best" and not path.is_file() else path
