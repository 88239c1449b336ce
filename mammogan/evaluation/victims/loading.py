"""Load victims that the user names: a checkpoint, a .pt2 or ONNX file, or a function of the user's own.

Checkpoints, .pt2 and ONNX files hold a network and no program of anybody else; others are refused. MODULE:FACTORY runs
the user's code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mammogan.errors import UserError
from mammogan.evaluation.victims.exported.archive import load_exported
from mammogan.evaluation.victims.onnx_weights import identity_of_onnx
from mammogan.evaluation.victims.victim import NetworkVictim, Victim
from mammogan.io.atomic import sha256
from mammogan.models.own_cad import as_logits, identity_of, made_by
from mammogan.training.run.cad_source import parse_source
from mammogan.training.run.trained_networks import load_source

GRAMMAR = (
    "expected NAME=WHERE such as B=other.pt (a checkpoint, run folder or exported model), B=model.pt2 (torch.export), "
    "B=model.onnx, or B=my_module:factory"
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def load_victim(text: str, device: str, own: str = "A") -> Victim:
    """Load NAME=WHERE. Raise UserError, which says what is expected, if that is not possible."""
    name, where = split_name("--victim", text, own)
    source = parse_source(f"--victim {text}", where, GRAMMAR)
    path = source.path
    if source.factory:
        return _of_factory(name, where, device)
    if path.suffix == ".pt2":
        return NetworkVictim(name, sha256(path), load_exported(path).to(device), device, at_once=1)
    if path.suffix == ".onnx":
        return OnnxVictim(name, identity_of_onnx(path), _onnx_session(path))
    return NetworkVictim(name, source.sha256(), load_source(source, device), device)


def split_name(option: str, text: str, own: str = "A") -> tuple[str, str]:
    """Return the two parts of NAME=WHERE; UserError if they are none, or the name is that of the attacked CAD."""
    name, equals, where = text.partition("=")
    if not equals or not where or not NAME.fullmatch(name):
        raise UserError(f"{option} {text}: {GRAMMAR}")
    if name == own:
        raise UserError(f"{option} {text}: {own} is the CAD that is attacked; give another name, such as B")
    return name, where


def _of_factory(name: str, where: str, device: str) -> Victim:
    made, source = made_by(where, "victim")
    if isinstance(made, nn.Module):
        return NetworkVictim(name, identity_of(made, source), made.to(device).eval(), device)
    if callable(made):
        return FunctionVictim(name, sha256(source), made)
    raise UserError(
        f"--victim {name}={where}: expected a torch module, or a function of pixels (N,1,H,W) in [0,1], found {made!r}"
    )


@dataclass(frozen=True)
class FunctionVictim:
    """A function of the user's own, from pixels to logits or probabilities; it is not differentiated."""

    name: str
    sha256: str
    function: Any
    at_once: int = 64
    differentiable: bool = False

    @torch.no_grad()
    def positive_probability(self, pixels: Tensor) -> Tensor:
        found = torch.as_tensor(self.function(pixels))
        return as_logits(f"victim {self.name}", found, len(pixels)).softmax(1)[:, 1].cpu()


@dataclass(frozen=True)
class OnnxVictim:
    """A network in an ONNX file, run by onnxruntime on the CPU; it has no gradients."""

    name: str
    sha256: str
    session: Any
    at_once: int = 1
    differentiable: bool = False

    def positive_probability(self, pixels: Tensor) -> Tensor:
        (given,) = self.session.get_inputs()
        found = torch.from_numpy(self.session.run(None, {given.name: pixels.numpy()})[0])
        return as_logits(f"victim {self.name}", found, len(pixels)).softmax(1)[:, 1]


def _onnx_session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{path}: ONNX files need onnxruntime; pip install 'mammogan[onnx]'") from None
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no common class
        raise UserError(f"{path} is no ONNX file that onnxruntime reads ({error})") from error
    if len(session.get_inputs()) != 1:
        names = ", ".join(one.name for one in session.get_inputs())
        raise UserError(f"{path}: expected one input, pixels float (N,1,H,W) in [0,1], found {names}")
    return session
