"""The folder of one training, and the states in it: atomic, sealed, self-describing, loaded without running code."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EINVAL
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from mammogan.config import Direction, MissingInput, UserError, to_dict
from mammogan.files import sha256, write_json, write_text, written_beside
from mammogan.models.lesion import LesionGenerator
from mammogan.models.networks import Cad, Gnet
from mammogan.provenance import keep_beside, made_by
from mammogan.training.seal import broken_seal, seal
from mammogan.writers import remove_torn, remove_torn_of, temporary

LENGTHS = ("epochs", "stop_rules", "stop_identity", "lesion.epochs")
"""Settings that say how long a training takes."""
OF_BANK = ("lesion.radius_mm", "lesion.bank_share", "lesion.bank_faintest", "lesion.bank_least")
"""Settings of the lesion objective's insertion alone."""
MAY_CHANGE = (*LENGTHS, "compute", "validate_every")
"""Settings with which a training may go on although it was begun with others."""

INPUTS = {
    "cad_sha256": "the CAD is not the one it was begun against (it was trained on, or anew)",
    "shards_sha256": "the shards are not those it was begun with (other mammograms, labels or splits)",
    "remover_sha256": "the remover is not the one whose lesions were taken (it was trained on, or anew)",
    "vgg_weights_sha256": "the file of Vnet's weights is not the one it was begun with",
}
"""What it means that an input of a training has changed."""
UNTOLD = ("vgg_weights_sha256",)
"""Inputs of which runs do not tell that were begun by earlier versions."""
ARCHS = ("unet", "residual-map", "transplant")
"""Kinds of generators: the study's Gnet; the lesion objective's remover, and its bank of lesions, no network."""


@dataclass(frozen=True)
class Run:
    """Folder of one training: config.yaml and what tells of the code beside it, metrics.jsonl, checkpoints/, pictures/,
    and done.json, written last."""

    path: Path

    @property
    def newest(self) -> Path:
        return self.path / "checkpoints" / "newest.pt"

    @property
    def previous(self) -> Path:
        """What newest.pt was before it was written last: for when that is damaged."""
        return self.path / "checkpoints" / "newest-1.pt"

    @property
    def has_state(self) -> bool:
        """True when there is something to go on from."""
        return self.newest.is_file() or self.previous.is_file()

    @property
    def best(self) -> Path:
        return self.path / "checkpoints" / "best.pt"

    @property
    def identity(self) -> Path:
        """The generator as it was at the end of the identity phase, before it met its adversary."""
        return self.path / "checkpoints" / "identity.pt"

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

    @property
    def epochs(self) -> int | None:
        """What it was begun with, or last asked for; None where it has not begun."""
        found: int | None = self._record().get("config", {}).get("epochs")
        return found

    def check(self, config: Any, inputs: dict[str, Any]) -> None:
        """Refuse to go on with settings that would learn something else, or with other inputs than at the start.

        A bank of lesions is never gone on with but made anew, in minutes: nothing is refused.
        """
        if not _is_bank(self._record()) and (changed := self.changes(config, inputs)):
            raise UserError(
                f"{self.path} was begun with other settings or inputs: {'; '.join(changed)}. "
                "Go back to those, or remove the folder to train anew"
            )

    def changes(self, config: Any, inputs: dict[str, Any]) -> list[str]:
        """What of settings and inputs is not as at the start, in words, of what decides the result; none where the run
        has not begun."""
        if not self._record():
            return []
        recorded, asked = self._record(), _settings(to_dict(config))
        before = _settings(to_dict(type(config)())) | _settings(recorded["config"])  # earlier versions had fewer
        changed = [
            f"{name} was {before.get(name)}, now {value}"
            for name, value in asked.items()
            if not {name, name.partition(".")[0]} & {*MAY_CHANGE, *_unused(recorded)} and before.get(name) != value
        ]
        told = [name for name in inputs if name in recorded or name not in UNTOLD]
        return changed + [INPUTS.get(name, f"{name} changed") for name in told if recorded.get(name) != inputs[name]]

    def begin(self, config: Any, inputs: dict[str, Any]) -> None:
        """Write config.yaml, and beside it what tells of the code. A run that goes on with more epochs is not done any
        more."""
        self.done.unlink(missing_ok=True)
        for folder in (self.newest.parent, self.path / "pictures"):
            remove_torn(folder)
        for file in (self.path / "config.yaml", self.metrics, self.done):
            remove_torn_of(file)
        record = {"config": _plain(to_dict(config)), "made_by": made_by(), **inputs}
        write_text(self.path / "config.yaml", yaml.safe_dump(record, sort_keys=False))
        keep_beside(self.path / "config.yaml")

    def is_finished(self, config: Any) -> bool:
        """True when this very training has ended; the same with other epochs asked for has not."""
        asked = _settings(to_dict(config))
        recorded = _settings(to_dict(type(config)())) | _settings(self._record().get("config", {}))
        return self.done.is_file() and all(recorded.get(name) == asked.get(name) for name in LENGTHS)

    def _record(self) -> dict[str, Any]:
        settings = self.path / "config.yaml"
        return yaml.safe_load(settings.read_text(encoding="utf-8")) if settings.is_file() else {}

    def finish(self, facts: dict[str, Any]) -> None:
        write_json(self.done, facts)


def _is_bank(recorded: dict[str, Any]) -> bool:
    """Whether a record is of the lesion objective's insertion."""
    lesion = recorded.get("config", {}).get("objective") == "lesion"
    return lesion and recorded.get("direction") == str(Direction.INSERT)


def _unused(recorded: dict[str, Any]) -> tuple[str, ...]:
    """Settings that have no effect on the run of this record: the lesion objective's remover makes no bank, and its
    bank learns nothing but what its remover, an input, has learned."""
    lesion = recorded.get("config", {}).get("lesion", {})
    names = tuple(f"lesion.{name}" for name in lesion)
    return tuple(name for name in names if (name in OF_BANK) != _is_bank(recorded))


def _settings(config: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Settings by their dotted names, as the command line has them."""
    found: dict[str, Any] = {}
    for name, value in _plain(config).items():
        found |= _settings(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found


def _plain(value: Any) -> Any:
    """Tuples as lists, so that what was read from YAML compares equal."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


class Damaged(UserError):
    """A checkpoint that was cut or changed since it was written, or never was one."""

    def __init__(self, path: Path, why: str) -> None:
        self.fault = f"{path.name} is damaged ({why})"
        super().__init__(
            f"checkpoint {path} is damaged: {why}. Bring it back from a copy, name another one, or remove the folder "
            "of its run and train anew"
        )


def save(path: Path, state: dict[str, Any], keep: Path | None = None) -> None:
    """Write a state of tensors and plain values beside ``path``, sealed, and rename: whoever sees it sees it whole.

    With ``keep``, what was there before goes there, once all of the new one is on disk.
    """
    with written_beside(path) as own:
        with open(own, "w+b") as file:
            torch.save(state, file)
            seal(file)
        if keep is not None and path.exists():
            _keep(path, keep)


def _keep(path: Path, keep: Path) -> None:
    """Have ``keep`` hold what ``path`` holds; as a second name of it, where the file system has these, so that at no
    instant ``path`` is missing."""
    second = temporary(keep)
    try:
        second.unlink(missing_ok=True)
        second.hardlink_to(path)
        second.replace(keep)
    except OSError:
        path.replace(keep)
    finally:
        second.unlink(missing_ok=True)  # which stays where both were names of one file before


def load(path: Path) -> dict[str, Any]:
    """A saved state, on the CPU; code in the file is never run. MissingInput when there is none, Damaged when its bytes
    are not those that were saved."""
    if not path.is_file():
        raise MissingInput(f"no checkpoint {path}; train first, or name another")
    with open(path, "rb") as file:
        if not (why := broken_seal(file)):
            file.seek(0)
            try:
                state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
                return state
            except Exception as error:  # what bytes that are no zip, or no pickle, make torch raise is no fixed set
                if isinstance(error, MemoryError) or getattr(error, "errno", EINVAL) != EINVAL:
                    raise  # a lost disk; EINVAL is torch looking before the first byte
                why = f"torch cannot read it ({type(error).__name__})"
    raise Damaged(path, why)


def load_newest(run: Run) -> tuple[dict[str, Any], str]:
    """The newest good state of a training, and a sentence where it is not what was saved last, else nothing.

    UserError when none is good; MissingInput when there never was one.
    """
    if not run.has_state:
        raise MissingInput(f"no checkpoint {run.newest}; train first")
    faults: list[str] = []
    for path in (run.newest, run.previous):
        try:
            return load(path), f"{'; '.join(faults)}: going on from {path.name}" if faults else ""
        except MissingInput:
            faults.append(f"{path.name} is not there")
        except Damaged as error:
            faults.append(error.fault)
    raise UserError(f"{run.path}: {'; '.join(faults)}. Bring one back from a copy, or remove the folder to train anew")


def load_cad(run: Path, device: torch.device | str = "cpu", which: str = "best") -> Cad:
    """The classifier of a run, with its best validation AUC or the newest weights, in eval mode."""
    state = load(choose_checkpoint(run, which))
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
    arch: str = ARCHS[0]

    @property
    def run(self) -> str:
        """Name of its run."""
        return run_of(self.path).path.name


def read_generator(run: Path, which: str = "best") -> tuple[dict[str, Any], CheckpointFacts]:
    """The state of a run's generator: 'best' (on validation, see ``Fooled.rank``), 'newest', or a path."""
    path = choose_checkpoint(run, which)
    state = load(path)
    refuse_other_arch(path, state)
    origin = state.get("direction"), run_of(path).shards_sha256, state.get("arch", ARCHS[0])
    return state, CheckpointFacts(path, sha256(path), state["phase"], state["epoch"], *origin)


def load_gnet(run: Path, device: torch.device | str = "cpu", which: str = "best") -> tuple[nn.Module, CheckpointFacts]:
    """The generator of a run, a network from pixels to pixels, in eval mode; ``which`` as in ``read_generator``."""
    state, facts = read_generator(run, which)
    if facts.arch == "transplant":
        raise UserError(f"checkpoint {facts.path} is a bank of lesions, no network; attack/insertion.py uses it")
    return network_of(state).to(device).eval(), facts


def network_of(state: dict[str, Any]) -> nn.Module:
    """The network of a state of ``read_generator``."""
    if state.get("arch") == "residual-map":
        return LesionGenerator.of_state(state)
    gnet = Gnet(state["width"], state["gnet_norm"])
    gnet.load_state_dict(state["gnet"])
    return gnet


def refuse_other_arch(path: Path, state: dict[str, Any]) -> None:
    """UserError when a checkpoint's generator is none of ``ARCHS``; one that does not say which it is is the first."""
    arch = state.get("arch", ARCHS[0])
    if arch not in ARCHS:
        raise UserError(
            f"checkpoint {path} holds a generator of the kind {arch!r}, and this version knows {', '.join(ARCHS)}: use "
            "the version of MammoGAN that trained it, or name another checkpoint"
        )


def refuse_another(checkpoint: Path, found: str, planned: str) -> None:
    """UserError when the file's sha256 is not the one that work was planned with."""
    if found != planned:
        raise UserError(f"{checkpoint} has changed since this was planned; run the same command again")


def run_of(checkpoint: Path) -> Run:
    """The run whose checkpoints/ it lies in; of a copy elsewhere, the folder that it lies in."""
    folder = checkpoint.absolute().parent
    return Run(folder.parent if folder.name == "checkpoints" else folder)


def choose_checkpoint(run: Path, which: str = "best") -> Path:
    """A path for 'best', 'newest' or a path; a run that never had a best one, as when its critic was always dead, has
    its newest."""
    found = Run(run)
    newest = found.previous if found.previous.is_file() and not found.newest.is_file() else found.newest
    named = {"best": found.best if found.best.is_file() else newest, "newest": newest}
    return named.get(which, Path(which))
