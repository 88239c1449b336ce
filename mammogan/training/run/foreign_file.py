"""Say what a sound file of torch is that is no checkpoint of ours: a program, an exported network, a pickled module."""

from __future__ import annotations

import zipfile
from typing import BinaryIO

FACTORY = "write a function that loads it and give MODULE:FACTORY to --cad or --victim (docs/extending.md)"
AS_NETWORK = f"save the network with torch.export.save as .pt2, or as ONNX, for --victim; or {FACTORY}"


def what_it_is(file: BinaryIO, refused: bool) -> tuple[str, str]:
    """Return what a zip, known to be sound, holds instead of a checkpoint, and what to do; empty if that is not known.

    ``refused``: torch did not unpickle it, as more than tensors and plain values.
    """
    with zipfile.ZipFile(file) as whole:
        members = {name.partition("/")[2] for name in whole.namelist()}
    if "archive_format" in members or "models/model.json" in members:
        return (
            "it is a network of torch.export.save",
            "give it to --victim under a name that ends in .pt2; for anything else " + FACTORY,
        )
    if "constants.pkl" in members or any(name.startswith("code/") for name in members):
        return (
            "it is a TorchScript program (torch.jit.save), which would have to be run to be read",
            AS_NETWORK,
        )
    if refused and "data.pkl" in members:
        return (
            "it holds more than tensors and plain values (UnpicklingError), such as a whole module "
            "(torch.save(network)), which would have to be run to be read",
            AS_NETWORK,
        )
    return "", ""
