"""What an attack is: something that makes mammograms adversarial. Here the two that trainings leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from mammogan.attack.insertion import Bank, Transplant
from mammogan.attack.settings import Background
from mammogan.config import MissingInput, UserError
from mammogan.files import sha256
from mammogan.models.networks import to_uint16
from mammogan.training.checkpoint import (
    CheckpointFacts,
    load_cad,
    network_of,
    read_generator,
    refuse_another,
)


class Attack(Protocol):
    """Makes adversarial mammograms."""

    def alter(self, pixels: Tensor, keys: Sequence[str]) -> Tensor:
        """uint16 (N,1,H,W) and the images' keys -> uint16 (N,1,H,W) on the CPU."""


@dataclass(frozen=True)
class NetworkAttack:
    """A generator that maps pixels to pixels."""

    network: nn.Module

    @torch.no_grad()
    def alter(self, pixels: Tensor, keys: Sequence[str]) -> Tensor:
        """round(G(x) 65535), half to even. TF32 is off: it would round away the lower bits of 16."""
        device = next(self.network.parameters()).device
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return to_uint16(self.network(pixels.to(device))).cpu()


@dataclass(frozen=True)
class Choosing:
    """How one of several tries is chosen; a network has one answer, and no tries."""

    tries: int = 0
    seed: int = 0
    cad: Path | None = None
    """Checkpoint of the CAD that is asked; None with one try."""
    cad_sha256: str = ""

    @classmethod
    def of(cls, generator: CheckpointFacts, tries: int, seed: int, cad: Path) -> Choosing:
        """For a generator found: nothing to choose unless it is a bank. MissingInput when a CAD is needed and none is
        there."""
        if generator.arch != "transplant":
            return NOTHING_TO_CHOOSE
        if tries == 1:
            return cls(1, seed)
        if not cad.is_file():
            raise MissingInput(
                f"no CAD in {cad}, which --tries {tries} asks which lesion to take; train it (launch/train_cad.py), or "
                "give --tries 1"
            )
        return cls(tries, seed, cad, sha256(cad))

    @property
    def made_from(self) -> dict[str, str | int]:
        """What of it decides the pixels, by name; nothing of a network's."""
        if self == NOTHING_TO_CHOOSE:
            return {}
        return {"tries": self.tries, "seed": self.seed, "choosing_cad_sha256": self.cad_sha256}


NOTHING_TO_CHOOSE = Choosing()


def load_attack(
    generator: CheckpointFacts, choosing: Choosing, device: str, background: Background = "original"
) -> Attack:
    """The very attack that was planned with; UserError when a file of it has changed since."""
    state, found = read_generator(generator.path.parent, str(generator.path))
    refuse_another(generator.path, found.sha256, generator.sha256)
    if found.arch != "transplant":
        return NetworkAttack(network_of(state).to(device).eval())
    cad = None
    if choosing.cad is not None:
        cad = load_cad(choosing.cad.parent, device, which=str(choosing.cad))
        refuse_another(choosing.cad, sha256(choosing.cad), choosing.cad_sha256)
    if not state["lesions"]:
        raise UserError(f"{generator.path} holds no lesion; make the bank anew with launch/train_gan.py")
    return Transplant(Bank.of_state(state), choosing.tries, choosing.seed, cad, background)
