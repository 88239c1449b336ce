"""Define what an attack is, and the two attacks that training produces: a generator network and a lesion bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mammogan.attack import own_attack
from mammogan.attack.config import Background
from mammogan.attack.insertion import Bank, Facts, Transplant
from mammogan.attack.insertion_choice import InsertionChoice
from mammogan.errors import UserError
from mammogan.models.networks import to_uint16
from mammogan.training.run.cad_source import CadSource
from mammogan.training.run.checkpoint_files import OWN_ATTACK, CheckpointFacts, check_same_file
from mammogan.training.run.trained_networks import check_same_cad, load_source, network_of, read_generator
from mammogan.workspace import Direction

TRAIN_AGAIN = (
    "its weights are damaged, or its training has failed. Look at the pictures in its run folder; name another "
    "--checkpoint, or remove the folder and train again"
)


def refuse_constant(original: NDArray[np.uint16], made: NDArray[np.uint16], key: str) -> None:
    """Raise UserError if an attack has made one grey value of a mammogram (H,W) that has several."""
    if original.min() != original.max() and made.min() == made.max():
        raise UserError(f"the generator gives one grey value for all of {key}: {TRAIN_AGAIN}")


class Attack(Protocol):
    """Interface of an attack, which makes mammograms adversarial.

    An attack of your own also has ``settings``, a dict of plain values that, with its source file and the CAD, decides
    the pixels: they are recorded, and when they change, the adversarial mammograms are made again.
    """

    def alter(self, pixels: Tensor, facts: Facts) -> Tensor:
        """Make adversarial: uint16 (N,1,H,W) and each image's JSON facts -> uint16 (N,1,H,W) on the CPU."""


@dataclass(frozen=True)
class NetworkAttack:
    """Attack by a generator network that maps pixels to pixels."""

    network: nn.Module

    @torch.no_grad()
    def alter(self, pixels: Tensor, facts: Facts) -> Tensor:
        """Return round(65535 G(x)), half to even. TF32 is off, because it would lose the lower of the 16 bits.

        Raise UserError if it gives a pixel that is no number.
        """
        device = next(self.network.parameters()).device
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            made = self.network(pixels.to(device))
        if not torch.isfinite(made).all():
            raise UserError(f"the generator gives pixels that are no numbers (NaN or infinite): {TRAIN_AGAIN}")
        return to_uint16(made).cpu()


def plan_own_attack(
    path: str, direction: Direction, cad: CadSource, given: Sequence[str] = ()
) -> tuple[CheckpointFacts, InsertionChoice]:
    """Plan the attack MODULE:CLASS with ``given`` settings: what identifies it, in the form of a trained generator."""
    facts, settings, cad_sha256 = own_attack.identify(path, direction, cad, given)
    return facts, InsertionChoice(cad=cad, cad_sha256=cad_sha256, settings=settings)


def load_attack(
    generator: CheckpointFacts, choosing: InsertionChoice, device: str, background: Background = "original"
) -> Attack:
    """Load exactly the attack that was planned. Raise UserError if one of its files has changed since."""
    if generator.arch.startswith(OWN_ATTACK) and choosing.cad is not None:
        attack: Attack = own_attack.load(generator, choosing.cad, choosing.cad_sha256, choosing.settings, device)
        return attack
    state, found = read_generator(generator.path.parent, str(generator.path))
    check_same_file(generator.path, found.sha256, generator.sha256)
    if found.arch != "transplant":
        return NetworkAttack(network_of(state, generator.path).to(device).eval())
    cad = None
    if choosing.cad is not None:
        cad = load_source(choosing.cad, device)
        check_same_cad(choosing.cad, choosing.cad_sha256)
    if not state["lesions"]:
        raise UserError(f"{generator.path} holds no lesion; make the bank again with mammogan train-gan")
    return Transplant(Bank.of_state(state), choosing.tries, choosing.seed, cad, background)
