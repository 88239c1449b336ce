"""Load a .pt2 file by way of a copy that holds only what has been read and found to be of a network alone.

What torch gets is the copy, so no other reading of the same archive (a name twice, a second model) can differ from
what was checked.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from mammogan.errors import UserError
from mammogan.evaluation.victims.exported.fields import Reader, Refused
from mammogan.evaluation.victims.exported.program import PROGRAM, tensors
from mammogan.models.own_cad import refuse_no_numbers

ROOT = "model"
SAMPLE = "data/sample_inputs/model.pt"
JSON: dict[str, Reader] = {
    "models/model.json": PROGRAM,
    "data/weights/model_weights_config.json": tensors("weight_"),
    "data/constants/model_constants_config.json": tensors("tensor_"),
}
CONSTANT = {"archive_format": b"pt2", "archive_version": b"0", "byteorder": b"little"}
NUMBERS = re.compile(r"data/weights/weight_[0-9]+|data/constants/tensor_[0-9]+|\.data/version")
"""Members that torch reads as plain numbers, so they are copied as they are."""
LEFT_OUT = re.compile(r"\.data/serialization_id|extra/.*")


def load_exported(path: Path) -> nn.Module:
    """Load the network of a .pt2 file. Raise UserError if it holds anything else, before any of it is used."""
    try:
        with zipfile.ZipFile(path) as archive:
            copy = _checked_copy(archive, path.stat().st_size)
        network: nn.Module = torch.export.load(copy).module()
    except Refused as fault:
        raise UserError(
            f"{path} holds more than a network, or what this version of MammoGAN does not know: {fault}. Save it again "
            "with torch.export.save, its input and output one tensor, or as ONNX; if you trust it as you trust a "
            "program, write a function that loads it and give MODULE:FACTORY"
        ) from fault
    except Exception as error:  # what torch raises for damaged archives has no common class
        raise UserError(f"{path} is no file of torch.export.save that this version of torch reads ({error})") from error
    refuse_no_numbers(str(path), network)
    return network


def _checked_copy(archive: zipfile.ZipFile, length: int) -> io.BytesIO:
    copy = io.BytesIO()
    names = _names(archive, length)
    with zipfile.ZipFile(copy, "w") as into:
        for name, member in names.items():
            if not LEFT_OUT.fullmatch(name):
                into.writestr(f"{ROOT}/{name}", _checked(name, archive.read(member)))
    copy.seek(0)
    return copy


def _names(archive: zipfile.ZipFile, length: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by their names within the archive's one folder."""
    members = archive.infolist()
    root = members[0].filename.partition("/")[0] if members else ""
    if root in ("", ".", ".."):
        raise Refused("an archive with one folder", [member.filename for member in members[:1]])
    named = {member.filename.removeprefix(f"{root}/"): member for member in members}
    if len(named) < len(members):
        raise Refused("each member of the archive once", sorted(member.filename for member in members))
    if sum(member.file_size for member in members) > length:
        raise Refused(f"members that are not compressed, so at most {length} bytes", "more")
    return named


def _checked(name: str, content: bytes) -> bytes:
    if name in JSON:
        return json.dumps(JSON[name](json.loads(content))).encode()
    if name == SAMPLE:
        return _sample(content)
    if CONSTANT.get(name) == content or NUMBERS.fullmatch(name):
        return content
    raise Refused("the members that torch.export.save writes of one network, named model", name)


def _sample(content: bytes) -> bytes:
    """Return the example input, pickled anew: torch takes the names of the network's arguments from it."""
    try:
        found = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except Exception as error:  # whatever a planted pickle raises
        raise Refused("one tensor as example input", f"what is more than tensors in {SAMPLE}") from error
    match found:
        case ((Tensor() as pixels,), {**named}) if not named:
            again = io.BytesIO()
            torch.save(((pixels.detach(),), {}), again)
            return again.getvalue()
    raise Refused("one tensor as example input", type(found).__name__)
