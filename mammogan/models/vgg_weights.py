"""Load ImageNet weights into Vnet: downloaded, from a file, or none if requested. Vnet is never random by accident."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from mammogan.errors import UserError
from mammogan.models.torchvision_import import import_torchvision
from mammogan.models.weight_values import faults_of

FILE_NAME = "vgg11-8a719046.pth"


def load_vgg_weights(vnet: nn.Module, which: str, width: float) -> None:
    """Fill Vnet in place. ``which`` is 'auto' (torchvision's download and cache), 'none' (stays random) or a file.

    Raises UserError when the weights cannot be found, downloaded or read, or do not fit Vnet.
    """
    if which == "none":
        return
    if which == "auto" and width != 1:
        raise UserError(
            f"ImageNet weights fit width 1 only, not {width}; use --vgg-weights none to start from random ones"
        )
    weights = _downloaded() if which == "auto" else _from_file(Path(which))
    _fill(vnet, weights, which)


def _downloaded() -> dict[str, Tensor]:
    torchvision = import_torchvision()
    try:
        weights: dict[str, Tensor] = torchvision.models.VGG11_Weights.IMAGENET1K_V1.get_state_dict(
            progress=False, check_hash=True
        )
    except (URLError, OSError, RuntimeError) as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints" / FILE_NAME
        raise UserError(
            f"could not download Vnet's ImageNet weights ({type(error).__name__}: {error}). On a machine with internet "
            f"let torchvision fetch {FILE_NAME} (models.vgg11(weights='DEFAULT')), then copy it to {cache} here, or "
            "name it with --vgg-weights PATH. --vgg-weights none starts from random weights."
        ) from error
    return weights


def _from_file(path: Path) -> dict[Any, Any]:
    if not path.is_file():
        raise UserError(f"--vgg-weights {path}: no such file; expected torchvision's {FILE_NAME}, or auto, or none")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds of errors for other files
        raise UserError(
            f"--vgg-weights {path}: not a torch weight file ({type(error).__name__}); expected {FILE_NAME}"
        ) from error
    if not isinstance(weights, dict):
        raise UserError(
            f"--vgg-weights {path}: holds a {type(weights).__name__}; expected the state dict in {FILE_NAME}"
        )
    return weights


def _fill(vnet: nn.Module, weights: dict[Any, Any], source: str) -> None:
    start = "features."
    found = {str(name).removeprefix(start): value for name, value in weights.items() if str(name).startswith(start)}
    wanted = vnet.state_dict()
    faults = [f"{name} is missing" for name in wanted if name not in found]
    faults += [f"{name} is not part of VGG11" for name in found if name not in wanted]
    faults += faults_of(found, wanted)
    if faults:
        raise UserError(
            f"--vgg-weights {source}: these are not VGG11's weights: {'; '.join(faults[:8])}. Expected torchvision's "
            f"{FILE_NAME}"
        )
    vnet.load_state_dict(found)
