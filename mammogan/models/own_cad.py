"""Classifiers that a function of one's own returns, MODULE:FACTORY, trained anywhere: what they have to be, and what
identifies them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mammogan.errors import UserError
from mammogan.io.atomic import sha256
from mammogan.models.networks import Critic, at_least_float32, unit_pixels
from mammogan.models.registry import imported, refuse_batch_norm, source_file
from mammogan.models.weight_values import NO_NUMBERS, no_number_in


class OwnCad(Critic):
    """A torch module of one's own in the place of a CAD: pixels (N,1,H,W) in [0,1] or uint16 -> logits (N,2).

    The module gets floats in [0,1] and gives logits (N,2), negative first, or probabilities of cancer, (N,) or (N,1).
    It has no body to begin a discriminator with.
    """

    def __init__(self, name: str, network: nn.Module) -> None:
        nn.Module.__init__(self)
        self.name, self.network = name, network

    def forward(self, pixels: Tensor, keep: Tensor | None = None) -> Tensor:
        return as_logits(f"CAD {self.name}", self.network(unit_pixels(pixels)), len(pixels))


def own_cad(factory: str) -> Critic:
    """Build the classifier that MODULE:FACTORY returns, on the CPU and in eval mode. UserError if it cannot be a
    CAD."""
    made, _ = made_by(factory, "CAD")
    if isinstance(made, Critic) and made.last.out_features != 2:
        raise UserError(f"CAD {factory}: expected a classifier with two logits, found {made.last.out_features}")
    if not isinstance(made, nn.Module):
        raise UserError(
            f"CAD {factory}: expected it to return a torch module, whose gradient attacks and controls take, found "
            f"{made!r}. A function without gradients can be a --victim of mammogan evaluate-deeper"
        )
    return (made if isinstance(made, Critic) else OwnCad(factory, made)).eval()


def check_own_cad(factory: str, begins_discriminator: bool) -> None:
    """Raise UserError if MODULE:FACTORY returns no CAD here, or none that a discriminator can begin as."""
    cad = own_cad(factory)
    if not begins_discriminator:
        return
    if isinstance(cad, OwnCad):
        raise UserError(
            f"--cad {factory}: with --objective study the discriminator begins with the CAD's body and neck, so the "
            "factory must return a mammogan.models.networks.Critic or a subclass (docs/extending.md), found "
            f"{type(cad.network).__name__}. With --objective lesion any torch module will do"
        )
    refuse_batch_norm(factory, cad)


def own_cad_sha256(factory: str) -> str:
    """Return what identifies the classifier of MODULE:FACTORY: the sha256 of its source file and of its weights."""
    made, source = made_by(factory, "CAD")
    return identity_of(made, source)


def made_by(factory: str, kind: str) -> tuple[Any, Path]:
    """Import MODULE:FACTORY and call it without arguments; return what it made, and its source file.

    Raise UserError for a torch module with a weight that is no number.
    """
    function = imported(factory, kind)
    source = source_file(function)
    if source is None or not callable(function):
        raise UserError(f"{kind} {factory}: expected a function or class in a Python file, found {function!r}")
    made = function()
    if isinstance(made, nn.Module):
        refuse_no_numbers(f"{kind} {factory}", made)
    return made, source


def refuse_no_numbers(whose: str, network: nn.Module) -> None:
    """Raise UserError, which begins with ``whose`` and names the tensor, if a network has weights with NaN or infinity,
    or other tensors with NaN: a mask may hold infinity."""
    weights, others = dict(network.named_parameters()), dict(network.named_buffers())
    if tensor := no_number_in(weights) or no_number_in(others, infinite=True):
        raise UserError(f"{whose}: its {tensor} {NO_NUMBERS}. Give the file that holds its sound weights")


def identity_of(made: Any, source: Path) -> str:
    """Return the sha256 of a source file, and of all weights and buffers if a torch module was made."""
    digest = hashlib.sha256(sha256(source).encode())
    if isinstance(made, nn.Module):
        for name, value in sorted(made.state_dict().items()):
            if isinstance(value, Tensor):
                held = value.detach().cpu().contiguous()
                digest.update(repr((name, str(held.dtype), tuple(held.shape))).encode())
                digest.update(held.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def as_logits(whose: str, found: Tensor, images: int) -> Tensor:
    """Return logits (N,2) of what a classifier says of N images: logits, or probabilities (N,) or (N,1).

    Raise UserError, which begins with ``whose``, for anything else.
    """
    found = at_least_float32(found)
    if found.shape == (images, 2):
        return found
    probability = found.flatten()
    if found.shape not in ((images,), (images, 1)) or not bool(((probability >= 0) & (probability <= 1)).all()):
        raise UserError(
            f"{whose}: expected logits of shape ({images}, 2), negative first, or probabilities of cancer of "
            f"shape ({images},), found shape {tuple(found.shape)} with values from {float(found.min()):.3g} to "
            f"{float(found.max()):.3g}"
        )
    inside = probability.clamp(1e-7, 1 - 1e-7)
    return torch.stack([(1 - inside).log(), inside.log()], 1)
