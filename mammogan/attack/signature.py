"""Sign adversarial mammograms with the workspace's own key, so that it can be said later whether one is unchanged.

The key is secret, beside the salt. A claim is what a file says of itself; its signature is the HMAC-SHA256 of the claim
and the pixels. Without the key the hashes in index.json say whether a file is the one that was written.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammogan.errors import UserError
from mammogan.io.atomic import PRIVATE, write_text
from mammogan.io.own_files import file_exists
from mammogan.io.png_text import DESCRIPTION, NOTICE
from mammogan.io.private import make_private_folder, read_private, refuse_guessable
from mammogan.io.temporary import temporary
from mammogan.workspace import Workspace

CHUNK = "MammoGAN"
"""Keyword of the PNG text that holds the claim and its signature as JSON."""
SECRET = re.compile(rb"[0-9a-f]{64}")
REMEDY = (
    "bring {path} back from a copy, or remove it: the next mammogan generate makes another, with which what was signed "
    "before cannot be verified"
)
IN_WORDS = "; signed "
"""What stands before key id and signature in the text of a DICOM file."""


class SigningKey:
    """The secret of a workspace from which signatures are made."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @property
    def id(self) -> str:
        """Identifies the key without revealing it."""
        return hashlib.sha256(b"mammogan signing key\0" + self._secret).hexdigest()[:16]

    def sign(self, claim: str, pixels: bytes) -> str:
        """Return the signature of a claim about these pixels: 64 hexadecimal digits."""
        digest = hashlib.sha256(pixels).digest()
        return hmac.new(self._secret, claim.encode() + b"\0" + digest, hashlib.sha256).hexdigest()

    @classmethod
    def of(cls, workspace: Workspace) -> SigningKey:
        """Return the workspace's key; it is made if there is none. Of several processes that make one, one wins.
        Raises UserError if it is no secret."""
        path = key_file(workspace)
        if not file_exists(path):
            make_private_folder(path.parent)
            own = temporary(path)
            write_text(own, secrets.token_hex(32) + "\n", PRIVATE)
            try:
                os.link(own, path)
            except FileExistsError:
                pass
            finally:
                own.unlink()
        return cls._read(path)

    @classmethod
    def there(cls, workspace: Workspace) -> SigningKey | None:
        """Return the workspace's key, or None if it has none. Raises UserError if it is no secret."""
        path = key_file(workspace)
        return cls._read(path) if file_exists(path) else None

    @classmethod
    def _read(cls, path: Path) -> SigningKey:
        """Read a key as ``of`` writes it; UserError for one that was emptied or cut, with which anybody could sign."""
        secret, remedy = read_private(path).strip(), REMEDY.format(path=path)
        refuse_guessable(secret, f"signing key {path}", remedy)
        if not SECRET.fullmatch(secret):
            raise UserError(f"signing key {path}: expected 64 hexadecimal digits, found something else; {remedy}")
        return cls(secret)


def key_file(workspace: Workspace) -> Path:
    return workspace.salt.with_name("signing-key")


def pixel_bytes(pixels: NDArray[np.uint16]) -> bytes:
    """Return the pixels (H,W) with their shape, as they are signed, whatever the file's format."""
    return f"{pixels.shape[0]}x{pixels.shape[1]}\0".encode() + pixels.astype("<u2").tobytes()


def signed_texts(facts: dict[str, Any], pixels: NDArray[np.uint16], key: SigningKey) -> dict[str, str]:
    """Return the texts of an adversarial PNG: what it is, where it comes from, and the signature."""
    claim = {
        "notice": NOTICE,
        "key": facts["key"],
        "direction": facts["direction"],
        "generator": facts["generator"]["checkpoint_sha256"],
        "signed_by": key.id,
    }
    text = claim_text(claim)
    signed = claim | {"signature": key.sign(text, pixel_bytes(pixels))}
    return {DESCRIPTION: NOTICE, CHUNK: json.dumps(signed, sort_keys=True)}


def claim_text(claim: dict[str, Any]) -> str:
    """Return what is signed of a claim: all of it but the signature."""
    return json.dumps({name: value for name, value in claim.items() if name != "signature"}, sort_keys=True)


def signed_words(words: str, pixels: NDArray[np.uint16], key: SigningKey) -> str:
    """Return the text of an adversarial DICOM file with its signature at the end."""
    return f"{words}{IN_WORDS}{key.id} {key.sign(words, pixel_bytes(pixels))}"
