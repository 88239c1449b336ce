"""An ONNX file reads its weights from itself or from files beside it, and is another victim when those change."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mammogan.errors import UserError
from mammogan.evaluation.victims.loading import load_victim
from mammogan.evaluation.victims.onnx_weights import identity_of_onnx
from mammogan.io.atomic import sha256

FLOAT, ELSEWHERE = 1, 1
"""onnx.proto: the type of a tensor, and the place of its numbers."""


def field(number: int, content: bytes | int) -> bytes:
    """Return a field of a protobuf message: a number below 128, or bytes."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    return b"".join((varint(number << 3 | 2), varint(len(content)), content))


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def tensor(location: str) -> bytes:
    """Return a tensor of two numbers, which are in a file."""
    place = field(13, field(1, b"location") + field(2, location.encode()))
    return field(1, 2) + field(2, FLOAT) + field(8, b"w") + place + field(14, ELSEWHERE)


def model(location: str = "", within: bytes = b"", domain: str = "") -> bytes:
    """Return a model that adds w to its input (N,2)."""
    shape = field(2, field(1, field(2, b"n")) + field(1, field(1, 2)))
    value = field(2, field(1, field(1, FLOAT) + shape))
    add = field(1, b"x") + field(1, b"w") + field(2, b"y") + field(4, b"Add") + field(7, domain.encode())
    here = field(1, 2) + field(2, FLOAT) + field(8, b"w") + field(9, bytes(8))
    given, found = (field(number, field(1, named) + value) for number, named in ((11, b"x"), (12, b"y")))
    weights = field(5, tensor(location) if location else here)
    graph = field(1, add) + within + field(2, b"g") + weights + given + found
    versions = field(8, field(2, 13)) + (field(8, field(1, domain.encode()) + field(2, 1)) if domain else b"")
    return field(1, 8) + field(7, graph) + versions


def branch(location: str) -> bytes:
    """Return a node with a graph that has a tensor as an attribute of a node."""
    constant = field(4, b"Constant") + field(5, field(1, b"value") + field(5, tensor(location)))
    return field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, field(1, constant))))


def test_weights_beside_the_file_are_part_of_what_it_is(tmp_path: Path) -> None:
    path, beside = tmp_path / "model.onnx", tmp_path / "model.onnx.data"
    path.write_bytes(model("model.onnx.data"))
    identities = set()
    for numbers in (bytes(8), bytes(7) + b"\x40"):
        beside.write_bytes(numbers)
        identities.add(identity_of_onnx(path))
    assert len(identities) == 2
    path.write_bytes(model())
    assert identity_of_onnx(path) == sha256(path)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "folder/secret", "..", "link", "absent", "a\\b"])
@pytest.mark.parametrize("deep", [False, True])
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str, deep: bool) -> None:
    folder = tmp_path / "models"
    (folder / "folder").mkdir(parents=True)
    for secret in (tmp_path / "secret", folder / "folder" / "secret"):
        secret.write_bytes(bytes(8))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "model.onnx").write_bytes(model(within=branch(location)) if deep else model(location))
    with pytest.raises(UserError, match="expected its weights in it or in files of the same folder"):
        load_victim(f"B={folder / 'model.onnx'}", "cpu")


@pytest.mark.parametrize("cut", [9, 60, -1])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, cut: int) -> None:
    (tmp_path / "cut.onnx").write_bytes(model()[:cut])
    with pytest.raises(UserError, match=r"cut\.onnx is no ONNX file"):
        load_victim(f"B={tmp_path / 'cut.onnx'}", "cpu")


def test_onnxruntime_reads_these_files_and_no_operators_of_others(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = tmp_path / "model.onnx"
    (tmp_path / "weights").write_bytes(torch.tensor([1.0, 2.0]).numpy().tobytes())
    path.write_bytes(model("weights"))
    found = load_victim(f"B={path}", "cpu").positive_probability(torch.tensor([[1.0, 0.0]]))
    assert torch.allclose(found, torch.tensor([0.5]))
    path.write_bytes(model(domain="somebody.else"))
    with pytest.raises(UserError, match="is no ONNX file that onnxruntime reads"):
        load_victim(f"B={path}", "cpu")
