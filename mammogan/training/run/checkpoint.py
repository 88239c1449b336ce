"""The folder of one training and its checkpoints: atomic, checked, self-describing, loaded without running code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from errno import EINVAL
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from mammogan.config import CLASSIFIER, GENERATOR, to_dict
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import replaced_atomically, sha256, write_json, write_text
from mammogan.io.provenance import keep_beside, made_by
from mammogan.io.temporary import remove_abandoned, remove_abandoned_of, temporary
from mammogan.models.lesion import LesionGenerator
from mammogan.models.networks import Critic
from mammogan.models.registry import build_classifier, build_generator, is_known_generator
from mammogan.training.run.damage import damage_of
from mammogan.workspace import Direction

LENGTHS = ("epochs", "stop_rules", "stop_identity", "lesion.epochs")
"""Settings that decide how long a training takes."""
OF_BANK = ("lesion.radius_mm", "lesion.bank_share", "lesion.bank_faintest", "lesion.bank_least")
"""Settings that only affect insertion in the lesion objective."""
MAY_CHANGE = (*LENGTHS, "compute", "validate_every")
"""Settings that may change when a training is resumed."""

INPUTS = {
    "cad_sha256": "the CAD is not the one it was started with (it was trained further, or again)",
    "shards_sha256": "the shards are not those it was started with (other mammograms, labels or splits)",
    "remover_sha256": "the remover is not the one whose lesions were taken (it was trained further, or again)",
    "vgg_weights_sha256": "the file of Vnet's weights is not the one it was started with",
}
"""Messages that explain a changed input of a training."""
NOT_RECORDED_EARLIER = ("vgg_weights_sha256",)
"""Inputs that runs of earlier versions did not record."""
ARCHS = ("unet", "residual-map", "transplant")
"""Kinds of generators: the study's Gnet, the lesion objective's remover, and its bank of lesions (no network)."""


@dataclass(frozen=True)
class Run:
    """The folder of one training.

    It contains config.yaml and beside it the version of the code, metrics.jsonl, checkpoints/, pictures/, and
    done.json, which is written last.
    """

    path: Path

    @property
    def newest(self) -> Path:
        return self.path / "checkpoints" / "newest.pt"

    @property
    def previous(self) -> Path:
        """Path of newest-1.pt, the newest.pt of the save before; it is used when newest.pt is damaged."""
        return self.path / "checkpoints" / "newest-1.pt"

    @property
    def has_state(self) -> bool:
        """True when there is a checkpoint to resume from."""
        return self.newest.is_file() or self.previous.is_file()

    @property
    def best(self) -> Path:
        return self.path / "checkpoints" / "best.pt"

    @property
    def identity(self) -> Path:
        """The generator at the end of the identity phase, before adversarial training."""
        return self.path / "checkpoints" / "identity.pt"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def done(self) -> Path:
        return self.path / "done.json"

    @property
    def shards_sha256(self) -> str | None:
        """Fingerprint of the shards it was trained on; None if the run does not record it."""
        found: str | None = self._record().get("shards_sha256")
        return found

    @property
    def epochs(self) -> int | None:
        """Number of epochs it was started with or last requested; None if it has not started."""
        found: int | None = self._record().get("config", {}).get("epochs")
        return found

    def check(self, config: Any, inputs: dict[str, Any]) -> None:
        """Raise UserError if settings that change the result, or inputs, differ from those at the start.

        A lesion bank is never refused: it is not resumed but made again, in minutes.
        """
        if not _is_bank(self._record()) and (changed := self.changes(config, inputs)):
            raise UserError(
                f"{self.path} was started with other settings or inputs: {'; '.join(changed)}. "
                "Go back to those, or remove the folder to train again"
            )

    def changes(self, config: Any, inputs: dict[str, Any]) -> list[str]:
        """Describe which settings and inputs that decide the result differ from those at the start.

        Empty if nothing differs or the run has not started.
        """
        if not self._record():
            return []
        recorded, asked = self._record(), _settings(to_dict(config))
        before = _settings(to_dict(type(config)())) | _settings(recorded["config"])  # earlier versions had fewer
        changed = [
            f"{name} was {before.get(name)}, now {value}"
            for name, value in asked.items()
            if not {name, name.partition(".")[0]} & {*MAY_CHANGE, *_unused(recorded)} and before.get(name) != value
        ]
        told = [name for name in inputs if name in recorded or name not in NOT_RECORDED_EARLIER]
        return changed + [INPUTS.get(name, f"{name} changed") for name in told if recorded.get(name) != inputs[name]]

    def begin(self, config: Any, inputs: dict[str, Any]) -> None:
        """Write config.yaml and, beside it, files that record the version of the code.

        It removes done.json, since a run that continues with more epochs is no longer done, and leftover temporary
        files.
        """
        self.done.unlink(missing_ok=True)
        for folder in (self.newest.parent, self.path / "pictures"):
            remove_abandoned(folder)
        for file in (self.path / "config.yaml", self.metrics, self.done):
            remove_abandoned_of(file)
        record = {"config": _plain(to_dict(config)), "made_by": made_by(), **inputs}
        write_text(self.path / "config.yaml", yaml.safe_dump(record, sort_keys=False))
        keep_beside(self.path / "config.yaml")

    def is_finished(self, config: Any) -> bool:
        """True if this training has ended with the epochs and stop rules that are requested now."""
        asked = _settings(to_dict(config))
        recorded = _settings(to_dict(type(config)())) | _settings(self._record().get("config", {}))
        return self.done.is_file() and all(recorded.get(name) == asked.get(name) for name in LENGTHS)

    def _record(self) -> dict[str, Any]:
        """Return the content of config.yaml; empty if the run has not started."""
        settings = self.path / "config.yaml"
        return yaml.safe_load(settings.read_text(encoding="utf-8")) if settings.is_file() else {}

    def finish(self, facts: dict[str, Any]) -> None:
        """Write done.json, which marks the run as complete."""
        write_json(self.done, facts)


def _is_bank(recorded: dict[str, Any]) -> bool:
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
    return tuple(name for name in names if (name in OF_BANK) != _is_bank(recorded))


def _settings(config: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return settings by their dotted names, as on the command line."""
    found: dict[str, Any] = {}
    for name, value in _plain(config).items():
        found |= _settings(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found


def _plain(value: Any) -> Any:
    """Turn tuples into lists, so that values read from YAML compare equal."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


class Damaged(UserError):
    """A checkpoint that was cut or changed after it was written, or a file that never was one."""

    def __init__(self, path: Path, why: str) -> None:
        self.fault = f"{path.name} is damaged ({why})"
        super().__init__(
            f"checkpoint {path} is damaged: {why}. Bring it back from a copy, name another one, or remove the folder "
            "of its run and train again"
        )


def save(path: Path, state: dict[str, Any], keep: Path | None = None) -> None:
    """Write a state of tensors and plain values to a temporary file, then rename it to ``path``.

    So ``path`` is always a complete file. With ``keep``, the previous file is kept there, once all of the new one is on
    disk.
    """
    with replaced_atomically(path) as own:
        with open(own, "w+b") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            _keep(path, keep)


def _keep(path: Path, keep: Path) -> None:
    """Make ``keep`` contain what ``path`` contains.

    Where the file system has hard links, it becomes a second name, so ``path`` never disappears; else ``path`` is
    renamed.
    """
    second = temporary(keep)
    try:
        second.unlink(missing_ok=True)
        second.hardlink_to(path)
        second.replace(keep)
    except OSError:
        path.replace(keep)
    finally:
        second.unlink(missing_ok=True)  # renaming does nothing if both already were names of one file


def load(path: Path) -> dict[str, Any]:
    """Load a saved state to the CPU, without running code from the file.

    Raises MissingInput when there is no file, and Damaged when its bytes are not those that were saved.
    """
    if not path.is_file():
        raise MissingInput(f"no checkpoint {path}; train first, or name another")
    with open(path, "rb") as file:
        if not (why := damage_of(file)):
            file.seek(0)
            try:
                state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
                return state
            except Exception as error:  # torch raises many kinds of errors for bytes that are no zip or no pickle
                if isinstance(error, MemoryError) or getattr(error, "errno", EINVAL) != EINVAL:
                    raise  # a lost disk; EINVAL is torch seeking before the first byte
                why = f"torch cannot read it ({type(error).__name__})"
    raise Damaged(path, why)


def load_newest(run: Run) -> tuple[dict[str, Any], str]:
    """Load the newest good state of a training.

    Returns it with a message if it is not the one saved last, else with "". Raises UserError when none is good,
    MissingInput when there never was one.
    """
    if not run.has_state:
        raise MissingInput(f"no checkpoint {run.newest}; train first")
    faults: list[str] = []
    for path in (run.newest, run.previous):
        try:
            return load(path), f"{'; '.join(faults)}: resuming from {path.name}" if faults else ""
        except MissingInput:
            faults.append(f"{path.name} is not there")
        except Damaged as error:
            faults.append(error.fault)
    raise UserError(f"{run.path}: {'; '.join(faults)}. Bring one back from a copy, or remove the folder to train again")


def load_cad(run: str | Path, device: torch.device | str = "cpu", which: str = "best") -> Critic:
    """Load the classifier of a run folder, in eval mode; ``positive_probability`` is its probability of cancer.

    ``which`` is "best" (on validation), "newest" or the path of a checkpoint.
    """
    state = load(choose_checkpoint(Path(run), which))
    cad = build_classifier(state.get("arch", CLASSIFIER), state["width"])
    cad.load_state_dict(state["cad"])
    return cad.to(device).eval()


@dataclass(frozen=True)
class CheckpointFacts:
    """The origin of a generator."""

    path: Path
    sha256: str
    phase: str
    epoch: int
    direction: str | None = None
    """remove or insert; None if the checkpoint does not record it."""
    shards_sha256: str | None = None
    """Fingerprint of the shards it was trained on; None if its run does not record it."""
    arch: str = ARCHS[0]

    @property
    def run(self) -> str:
        """Name of its run."""
        return run_of(self.path).path.name


def read_generator(run: Path, which: str = "best") -> tuple[dict[str, Any], CheckpointFacts]:
    """Read the state of a run's generator, and its origin.

    ``which`` is 'best' (on validation, see ``Fooled.rank``), 'newest', or a path.
    """
    path = choose_checkpoint(run, which)
    state = load(path)
    refuse_other_arch(path, state)
    origin = state.get("direction"), run_of(path).shards_sha256, state.get("arch", ARCHS[0])
    return state, CheckpointFacts(path, sha256(path), state["phase"], state["epoch"], *origin)


def load_generator(run: str | Path, device: torch.device | str = "cpu", which: str = "best") -> nn.Module:
    """Load the generator of a run folder: a network from mammograms to adversarial mammograms, in eval mode.

    It takes pixels (N,1,H,W), uint16 or floats in [0,1], and returns floats in [0,1] of the same shape. ``which`` is
    "best" (on validation), "newest" or the path of a checkpoint. Raises UserError if the run has no network: insertion
    in the lesion objective uses a bank of lesions, see mammogan.attack.methods.
    """
    return load_generator_with_facts(Path(run), device, which)[0]


def load_generator_with_facts(
    run: Path, device: torch.device | str = "cpu", which: str = "best"
) -> tuple[nn.Module, CheckpointFacts]:
    """Load a generator as ``load_generator`` does, and return its origin too."""
    state, facts = read_generator(run, which)
    if facts.arch == "transplant":
        raise UserError(f"checkpoint {facts.path} is a bank of lesions, no network; mammogan generate uses it")
    return network_of(state).to(device).eval(), facts


def network_of(state: dict[str, Any]) -> nn.Module:
    """Build the network from a state of ``read_generator``."""
    if state.get("arch") == "residual-map":
        return LesionGenerator.of_state(state)
    gnet = build_generator(state.get("arch", GENERATOR), state["width"], state["gnet_norm"])
    gnet.load_state_dict(state["gnet"])
    return gnet


def refuse_other_arch(path: Path, state: dict[str, Any]) -> None:
    """Raise UserError if a checkpoint's generator is none of ``ARCHS``; without a recorded kind it is the first."""
    arch = state.get("arch", ARCHS[0])
    if arch not in ARCHS and not is_known_generator(arch):
        raise UserError(
            f"checkpoint {path} holds a generator of the kind {arch!r}, and this version knows {', '.join(ARCHS)}: use "
            "the version of MammoGAN that trained it, or name another checkpoint"
        )


def check_same_file(checkpoint: Path, found: str, planned: str) -> None:
    """Raise UserError if the file's sha256 is not the one that the work was planned with."""
    if found != planned:
        raise UserError(f"{checkpoint} has changed since this was planned; run the same command again")


def run_of(checkpoint: Path) -> Run:
    """Return the run of a checkpoint: the parent of its checkpoints/ folder, or for a copy the folder it is in."""
    folder = checkpoint.absolute().parent
    return Run(folder.parent if folder.name == "checkpoints" else folder)


def choose_checkpoint(run: Path, which: str = "best") -> Path:
    """Return the path of 'best', 'newest', or of the checkpoint that ``which`` names.

    A run without a best one, for example because its critic was always dead, gives its newest.
    """
    found = Run(run)
    newest = found.previous if found.previous.is_file() and not found.newest.is_file() else found.newest
    named = {"best": found.best if found.best.is_file() else newest, "newest": newest}
    return named.get(which, Path(which))
