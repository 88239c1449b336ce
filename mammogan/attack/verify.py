"""Say of a PNG, a DICOM file or a shard whether it is an adversarial mammogram of this package, and unchanged.

Two things are compared: the signature in the file, where the workspace's key is at hand, and the hash in an index.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from mammogan.attack.dicom.signed_header import changed_in_header
from mammogan.attack.signature import CHUNK, IN_WORDS, SigningKey, claim_text, pixel_bytes
from mammogan.data.shards.codec import PNG_START, decode
from mammogan.data.shards.index import INDEX
from mammogan.errors import UserError
from mammogan.io.atomic import file_version, is_file, sha256
from mammogan.io.own_files import file_exists, in_folders
from mammogan.io.records import read_record
from mammogan.workspace import Workspace

LEVELS_UP = 6
"""Folders above a file in which the workspace that it lies in is looked for."""


class Verdict(Enum):
    """What is known of a file, from the best to the worst answer to 'is it ours and unchanged?'."""

    UNCHANGED = "made by this package, unchanged"
    UNPROVEN = "says that it was made by this package, which cannot be checked here"
    FOREIGN = "no mark of this package"
    CHANGED = "made by this package, and changed since"


ENTRY = {"name": str, "sha256": str, "samples?": [{"key": str, "png_sha256?": str}]}
LISTED = {"shards?": [ENTRY], "files?": [{"file": str, "sha256": str}]}
"""What an index has that is compared, with the types."""


@dataclass(frozen=True)
class Finding:
    """The verdict on one file, and what it rests on."""

    verdict: Verdict
    why: str


@dataclass(frozen=True)
class Claim:
    """What a PNG or DICOM file says of itself: the signed text, the key's id, the signature, and the pixels."""

    text: str
    signed_by: str
    signature: str
    pixels: bytes
    key: str = ""
    """Key of the adversarial mammogram; empty where the file does not have it."""
    changed: tuple[str, ...] = ()
    """Signed attributes of a DICOM header that are others now."""
    in_part: bool = False
    """Whether the file says more than what is signed, as the names in a DICOM header."""


def verify(path: Path, workspace: Workspace | None) -> Finding:
    """Return what is known of a file. ``workspace``: whose key and indexes are compared; None: the one it lies in.

    Raises UserError if there is no such file, or if the key may not be read.
    """
    if not is_file(path):
        raise UserError(f"{path}: no such file")
    own = workspace or _workspace_of(path)
    with open(path, "rb") as file:
        start = file.read(132)
    if start.startswith(PNG_START):
        return _of_picture(path.read_bytes(), own, _listed_pngs(own))
    if start[128:] == b"DICM":
        return _of_dicom(path, own)
    if tarfile.is_tarfile(path):
        return _of_shard(path, own)
    return Finding(Verdict.FOREIGN, "it is no PNG, DICOM file or shard")


def _workspace_of(path: Path) -> Workspace | None:
    folders = path.absolute().parents[:LEVELS_UP]
    return next((Workspace(f) for f in folders if (f / "private").is_dir() and any(f.glob("adversarial*"))), None)


def _of_picture(content: bytes, own: Workspace | None, listed: dict[str, str]) -> Finding:
    claim = _claim_of_png(content)
    if claim is None:
        return Finding(Verdict.FOREIGN, "its text chunks do not name MammoGAN")
    if isinstance(claim, str):
        return Finding(Verdict.CHANGED, claim)
    by_hash = listed.get(claim.key)
    if by_hash and by_hash == hashlib.sha256(content).hexdigest():
        return Finding(Verdict.UNCHANGED, "its sha256 is the one in the index")
    return _by_signature(claim, own, "the index has another sha256" if by_hash else "")


def _by_signature(claim: Claim, own: Workspace | None, otherwise: str) -> Finding:
    """Compare the signature if the key is at hand; ``otherwise`` says what else speaks against the file, if anything
    does."""
    key = SigningKey.there(own) if own else None
    if key is not None and key.id == claim.signed_by:
        if hmac.compare_digest(key.sign(claim.text, claim.pixels), claim.signature):
            return _with_signature(claim, otherwise)
        return Finding(Verdict.CHANGED, "its signature does not fit its pixels and its words")
    if otherwise:
        return Finding(Verdict.CHANGED, otherwise)
    where = "the workspace's key is another than it was signed with" if key else "no key and no index are at hand"
    return Finding(Verdict.UNPROVEN, f"{where}; name the workspace that made it with --workspace")


def _with_signature(claim: Claim, otherwise: str) -> Finding:
    """Return what is known of a file whose signature fits its pixels and its words."""
    fits = "its signature fits its pixels and its words"
    if claim.changed:
        return Finding(Verdict.CHANGED, f"{fits}, which name another {' and '.join(claim.changed)} than its header")
    if otherwise and claim.in_part:
        return Finding(Verdict.CHANGED, f"{fits}, but {otherwise}: what is not signed of its header may be another")
    return Finding(Verdict.UNCHANGED, f"{fits}{', though it was encoded again' if otherwise else ''}")


def _claim_of_png(content: bytes) -> Claim | str | None:
    """Return the claim of a PNG; None if it makes none, and text if it makes one that cannot be read."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            held = getattr(image, "text", {}).get(CHUNK)
        if held is None:
            return None
        claim = json.loads(held)
        pixels = pixel_bytes(decode(content))
        return Claim(claim_text(claim), claim["signed_by"], claim["signature"], pixels, claim["key"])
    except (ValueError, LookupError, TypeError, AttributeError, OSError, SyntaxError, RecursionError) as error:
        names_us = CHUNK.encode() in content
        return f"it names MammoGAN and cannot be read ({type(error).__name__}: {error})" if names_us else None


def _of_dicom(path: Path, own: Workspace | None) -> Finding:
    listed = {Path(file["file"]).name: file["sha256"] for file in _listed_dicoms(path, own)}
    by_hash = listed.get(path.name)
    if by_hash == sha256(path):
        return Finding(Verdict.UNCHANGED, "its sha256 is the one in the index")
    try:
        claim = _claim_of_dicom(dcmread(path))
    except Exception as error:  # pydicom raises many kinds of errors for damaged files
        claim = None if not by_hash else f"it cannot be read ({type(error).__name__})"
    if claim is None and not by_hash:
        return Finding(Verdict.FOREIGN, "its header does not name MammoGAN as what synthesised it")
    if claim is None or isinstance(claim, str):
        return Finding(Verdict.CHANGED, claim or "the index has another sha256, and its mark is gone")
    return _by_signature(claim, own, "the index has another sha256" if by_hash else "")


def _claim_of_dicom(header: Dataset) -> Claim | str | None:
    for equipment in header.get("ContributingEquipmentSequence") or ():
        if "MammoGAN" in str(equipment.get("Manufacturer", "")):
            words, found, signed = str(equipment.get("ContributionDescription", "")).rpartition(IN_WORDS)
            if not found:
                return "it names MammoGAN, and its signature is gone"
            signed_by, _, signature = signed.partition(" ")
            stored = np.frombuffer(header.PixelData, "<u2")[: header.Rows * header.Columns]
            pixels = pixel_bytes(stored.reshape(header.Rows, header.Columns))
            changed = tuple(changed_in_header(words, header))
            return Claim(words, signed_by, signature, pixels, changed=changed, in_part=True)
    return None


def _of_shard(path: Path, own: Workspace | None) -> Finding:
    for index in _indexes(path, own):
        for shard in index.get("shards", ()):
            if shard["name"] == path.name and shard["sha256"] == sha256(path):
                return Finding(Verdict.UNCHANGED, "its sha256 is the one in the index")
    try:
        with tarfile.open(path) as tar:
            pictures = [tar.extractfile(member) for member in tar if member.name.endswith(".png")]
            found = [_of_picture(picture.read(), own, {}) for picture in pictures if picture]
    except (tarfile.TarError, EOFError) as error:
        return Finding(Verdict.CHANGED, f"its members cannot be read ({error})")
    if not found or all(one.verdict is Verdict.FOREIGN for one in found):
        return Finding(Verdict.FOREIGN, "no index lists it, and none of its members is marked")
    worst = max(found, key=lambda one: list(Verdict).index(one.verdict))
    count = sum(one.verdict is worst.verdict for one in found)
    verdict = Verdict.CHANGED if worst.verdict is Verdict.FOREIGN else worst.verdict
    return Finding(verdict, f"no index lists it with this sha256; of {count} of {len(found)} members: {worst.why}")


def _indexes(path: Path, own: Workspace | None) -> Iterator[dict[str, Any]]:
    """Yield the index beside a shard, and those of the workspace."""
    found = [path.parent / INDEX, *_of_shards(own)]
    for index in dict.fromkeys(found):
        if file_exists(index):
            yield read_record(index, LISTED)


def _listed_pngs(own: Workspace | None) -> dict[str, str]:
    """Return the sha256 of every adversarial PNG by its key, as the workspace's indexes have it."""
    return _pngs_in(tuple((index, file_version(index)) for index in _of_shards(own)))


def _of_shards(own: Workspace | None) -> list[Path]:
    """Return the indexes of a workspace's adversarial shards."""
    return in_folders(own.root, "adversarial*/*", INDEX) if own else []


@functools.lru_cache(maxsize=4)
def _pngs_in(indexes: tuple[tuple[Path, tuple[int, ...]], ...]) -> dict[str, str]:
    """Read these versions of the indexes, once for all files that are verified together."""
    return {
        sample["key"]: sample["png_sha256"]
        for index, _ in indexes
        for shard in read_record(index, LISTED).get("shards", ())
        for sample in shard.get("samples", ())
        if "png_sha256" in sample
    }


def _listed_dicoms(path: Path, own: Workspace | None) -> Iterator[dict[str, Any]]:
    """Yield the entries of the index beside a DICOM file, else those of the workspace's folders of DICOM files."""
    beside = path.parent / INDEX
    found = [beside] if file_exists(beside) else in_folders(own.root, "adversarial*/*/dicom*", INDEX) if own else []
    for index in found:
        yield from read_record(index, LISTED).get("files", ())
