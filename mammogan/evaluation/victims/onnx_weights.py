"""Find the files that an ONNX file names as places of its weights: plain files beside it, and part of what it is.

The file is a protobuf message; only the parts of onnx.proto that lead to tensors are looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from mammogan.errors import UserError
from mammogan.io.atomic import sha256

PARTS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external data"},
}
"""Numbers of the fields of each message that hold another one that matters here."""
KEY, VALUE = 1, 2
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""How a field of protobuf is written."""


def identity_of_onnx(path: Path) -> str:
    """Return the sha256 of an ONNX file, or of it and the files of its weights together.

    Raise UserError if it names a file elsewhere than beside it, or is no ONNX file.
    """
    try:
        with path.open("rb") as file:
            named = set(_locations(memoryview(file.read()), "model"))
    except (ValueError, IndexError, RecursionError) as error:
        raise UserError(f"{path} is no ONNX file: it is cut off, or not written as protobuf ({error})") from error
    digests = [sha256(path)]
    for name in sorted(named):
        beside = path.parent / name
        if name != Path(name).name or "\\" in name or beside.is_symlink() or not beside.is_file():
            raise UserError(
                f"{path}: expected its weights in it or in files of the same folder, found {name!r}, which is no plain "
                "file there. Copy the file of weights that was written with it into the folder, or export it anew"
            )
        digests += [name, sha256(beside)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\0".join(digests).encode()).hexdigest()


def _locations(message: memoryview, kind: str) -> Iterator[str]:
    """Yield the names of files that the tensors of a message are in."""
    if kind == "external data":
        entry = dict(_fields(message))
        if bytes(entry.get(KEY, b"")) == b"location":
            yield bytes(entry.get(VALUE, b"")).decode()
        return
    for number, content in _fields(message):
        if inner := PARTS[kind].get(number):
            yield from _locations(content, inner)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the fields of a message that hold bytes, with their numbers. ValueError or IndexError if it is damaged."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        how = tag & 7
        if how == VARINT:
            _, at = _varint(message, at)
        elif how == BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a part is longer than the whole")
            yield tag >> 3, message[at : at + length]
            at += length
        elif how in (FIXED64, FIXED32):
            at += 8 if how == FIXED64 else 4
        else:
            raise ValueError("a part of an unknown kind")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number without an end")
