"""Refuse a checkpoint of another kind, architecture, direction or width than is needed, before anything is built."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from mammogan.errors import UserError
from mammogan.io.records import Misfit, Shape, check_shape
from mammogan.models.weight_values import NO_NUMBERS, no_number_in
from mammogan.workspace import Direction

Kind = Literal["cad", "gan"]
WHAT: dict[str, str] = {"cad": "a classifier (CAD)", "gan": "a generator (GAN)"}
NUMBER = (int, float)
WIDEST = 64
"""Largest width of a network that is believed: 64 times the study's."""
NETWORK: dict[str, Shape] = {"phase": str, "epoch": int, "width": NUMBER, "gnet": dict}
LESION: dict[str, Shape] = {"growth": torch.Tensor, "surroundings": NUMBER}
PARTS: dict[str, Shape] = {
    "cad": {"width": NUMBER, "cad": dict},
    "residual-map": NETWORK | {"cell": int, "fine_levels": int},
    "transplant": {"phase": str, "epoch": int, "cell": int, "radius": NUMBER, "lesions": [LESION]},
    "unet": NETWORK | {"gnet_norm": str},
}
"""What a checkpoint of a CAD has, and one of a generator by its ``arch``; any other ``arch`` is like unet."""
LEARNED = ("cad", "learning", "gnet", "generator", "critic", "lesions")
"""Parts of a checkpoint that are used, or learnt further."""
IDENTITY = ("kind", "arch", "objective", "direction", "width", "gnet_norm", "cell", "fine_levels")
"""Values that say which training a checkpoint belongs to."""
T = TypeVar("T")


def kind_of(state: dict[str, Any]) -> str:
    """Return 'cad' or 'gan'; from its parts where an earlier version did not record it; '' if it is neither."""
    found: str = state.get("kind") or next(
        (kind for part, kind in (("cad", "cad"), ("gnet", "gan"), ("lesions", "gan")) if part in state), ""
    )
    return found


def described(state: dict[str, Any]) -> str:
    """Say in words what a checkpoint holds."""
    kind = kind_of(state)
    if kind not in WHAT:
        return "no network of MammoGAN"
    facts = [f"{name} {state[name]}" for name in ("arch", "direction", "width") if state.get(name) is not None]
    return WHAT[kind] + (f", {', '.join(facts)}" if facts else "")


def check_kind(path: Path, state: dict[str, Any], kind: Kind) -> None:
    """Raise UserError, which says what the checkpoint is, unless it holds this kind of network with all its parts."""
    for name in ("kind", "arch"):
        if not isinstance(state.get(name) or "", str):
            raise UserError(f"checkpoint {path} cannot be used: its {name} is no text. Name another checkpoint")
    if kind_of(state) != kind:
        raise UserError(
            f"checkpoint {path} should hold {WHAT[kind]} and holds {described(state)}: name another checkpoint, or "
            "bring the right file back"
        )
    _refuse_code_beside(path, state.get("arch") or "")
    arch = "cad" if kind == "cad" else state.get("arch", "unet")
    try:
        check_shape(state, PARTS.get(arch, PARTS["unet"]))
        if not 0 < state.get("width", 1) <= WIDEST:
            raise Misfit(f"its width is {state['width']}")
        _check_direction(state)
        if arch == "transplant":
            _check_bank(state)
    except Misfit as error:
        raise UserError(
            f"checkpoint {path} holds {described(state)} that cannot be used: {error}. Name another checkpoint, or "
            "train it again"
        ) from None
    refuse_no_numbers(path, state)


def refuse_no_numbers(path: Path, state: dict[str, Any]) -> None:
    """Raise UserError, which names the tensor, if a network or a lesion of a checkpoint has NaN or infinity.

    A class of one's own may hold a mask of infinities beside its weights.
    """
    held = {name: state[name] for name in LEARNED if name in state}
    if tensor := no_number_in(held, infinite=":" in (state.get("arch") or "")):
        raise UserError(
            f"checkpoint {path} holds {described(state)} whose {tensor} {NO_NUMBERS}: it was damaged, or its training "
            "has failed. Bring it back from a copy, name another checkpoint, or train it again"
        )


def _check_direction(state: dict[str, Any]) -> None:
    if state.get("direction") not in (None, *Direction):
        raise Misfit(f"its direction is neither {' nor '.join(Direction)}")


def _check_bank(state: dict[str, Any]) -> None:
    """Raise Misfit unless a bank's scale is one, and each lesion a square with a cell in its middle."""
    if state["cell"] < 1 or not 0 < state["radius"] < float("inf"):
        raise Misfit(
            f"its cells are of {state['cell']} pixels and its lesions have a radius of {state['radius']} cells"
        )
    for place, lesion in enumerate(state["lesions"]):
        shape = tuple(lesion["growth"].shape)
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] % 2 == 0:
            raise Misfit(f"lesions[{place}].growth: expected a square with an odd number of cells, found {shape}")


def _refuse_code_beside(path: Path, arch: str) -> None:
    """Raise UserError if the module that a checkpoint names lies in the checkpoint's workspace.

    Somebody may have planted both. Code in a folder of PYTHONPATH, or that a program put into sys.path, is the user's.
    """
    module, colon, _ = arch.partition(":")
    try:
        spec = find_spec(module.partition(".")[0]) if colon else None
    except (ImportError, ValueError):
        spec = None
    place = path.resolve().parent
    workspace = place.parents[2] if place.parent.parent.name == "runs" else place
    here = Path.cwd()  # Python looks there unasked
    asked = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    named = [Path(folder).resolve() for folder in asked if folder]
    named += [folder for entry in sys.path if entry and (folder := Path(entry).resolve()) != here]
    for file in [spec.origin or "", *(spec.submodule_search_locations or ())] if spec else ():
        code = Path(file).resolve()
        if code.is_relative_to(workspace) and not any(code.is_relative_to(folder) for folder in named):
            raise UserError(
                f"checkpoint {path} names {arch}, whose code {code} lies in the workspace and is not run: if it is "
                "yours, move it elsewhere and put its folder into PYTHONPATH"
            )


def check_same_training(path: Path, found: dict[str, Any], ours: dict[str, Any], changes: list[str]) -> None:
    """Raise UserError if a checkpoint is of another training than the one whose state is ``ours``, or was begun with
    other settings or inputs, which ``changes`` describes."""
    other = [
        f"{name} {found[name]} instead of {ours[name]}"
        for name in IDENTITY
        if name in ours and found.get(name, ours[name]) != ours[name]
    ]
    if kind_of(found) != kind_of(ours):
        other = [f"{described(found)} instead of {described(ours)}"]
    if other:
        raise UserError(
            f"checkpoint {path} is not of this training: it holds {'; '.join(other)}. Bring the right file back, or "
            "remove the folder to train again"
        )
    if changes:
        raise UserError(
            f"checkpoint {path} is not of this training: it was begun with other settings or inputs: "
            f"{'; '.join(changes)}. Bring the right file back, go back to those, or remove the folder to train again"
        )


def check_resumable(newest: Path, state: dict[str, Any]) -> None:
    """Raise UserError if a checkpoint has the weights of its training and not where it was, as best.pt and
    identity.pt."""
    if "batch" not in state:
        raise UserError(
            f"checkpoint {newest} cannot be resumed from: it holds {described(state)}, its weights alone, as best.pt "
            "and identity.pt do. Bring this training's newest.pt back, such as its newest-1.pt under that name; or "
            "remove the folder to train again. To begin another training with these weights, give --start-from"
        )


def with_weights(path: Path, state: dict[str, Any], build: Callable[[], T]) -> T:
    """Build a network from a checkpoint. Raise UserError if the weights are not those of the network that it names."""
    try:
        return build()
    except UserError:
        raise
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, RuntimeError) and "state_dict" not in str(error):
            raise  # out of memory, no GPU
        raise UserError(
            f"checkpoint {path} says it holds {described(state)}, and its weights are those of another network "
            f"({str(error).splitlines()[-1].strip() if str(error) else type(error).__name__}). Name another "
            "checkpoint, or train it again"
        ) from error
