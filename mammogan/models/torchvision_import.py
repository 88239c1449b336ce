"""Import torchvision even where its compiled operators cannot be loaded.

The wheel in the public index is built for CUDA. On a CPU build of torch its library does not load, and the import fails
with "operator torchvision::nms does not exist". Declaring the two missing operators first lets all pure Python parts
import: models, transforms, their weights. A failed first import leaves half-registered operators behind, so the package
imports torchvision only through this module.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import torch

MISSING = ("nms", "qnms")
_declared: torch.library.Library | None = None  # the operators are removed when this object is freed


def import_torchvision() -> ModuleType:
    """Import and return torchvision. Raises ImportError if it is not installed."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ImportError("torchvision is not installed; install it in one pip command with torch so that they match")
    if torch.version.cuda is None and not _loads(Path(spec.origin).with_name("_C.so")):
        _declare_missing()
    import torchvision

    return torchvision


def _loads(library: Path) -> bool:
    try:
        torch.ops.load_library(str(library))
    except OSError:
        return False
    return True


def _declare_missing() -> None:
    global _declared
    if _declared is None:
        _declared = torch.library.Library("torchvision", "FRAGMENT")
        for name in MISSING:
            _declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
