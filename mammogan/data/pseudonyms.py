"""Names that say nothing about a patient, yet are the same at every run that has the same secret."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from mammogan import files
from mammogan.config import UserError

SHORTEST_SALT = 16
UID = re.compile(r"\d+(\.\d+){3,}")
"""Identifies an exam wherever it is met; anything else, such as a date or a number, is the patient's own."""


@dataclass(frozen=True)
class Pseudonyms:
    """HMAC-SHA256 under a secret salt, so that nobody without it can try out names or record numbers."""

    salt: bytes = field(repr=False)

    def patient(self, identifier: str) -> str:
        """12 hex digits for the patient of the cohort table."""
        return self._digest("patient", identifier)[:12]

    def image(self, path: str) -> str:
        """8 hex digits for an image, by its path as the cohort table writes it."""
        return self._digest("image", path)[:8]

    def study(self, patient: str, identifier: str) -> str:
        """12 hex digits for an exam, by its StudyInstanceUID, or by another name that it has among the patient's."""
        return self._digest("study", identifier if UID.fullmatch(identifier) else f"{patient}\0{identifier}")[:12]

    def source(self, fingerprint: bytes) -> str:
        """32 hex digits for stored pixels: whoever has a file cannot find it in a shard, or the shard's in a file."""
        return self._digest("source", fingerprint.hex())[:32]

    def _digest(self, kind: str, text: str) -> str:
        return hmac.new(self.salt, f"{kind}\0{text}".encode(), hashlib.sha256).hexdigest()


def load_salt(path: Path) -> bytes:
    """Read the secret; make one, readable by its owner only, when there is none yet."""
    if not path.exists():
        _make_salt(path)
    salt = path.read_bytes().strip()
    if len(salt) < SHORTEST_SALT:
        raise UserError(
            f"salt file {path}: expected at least {SHORTEST_SALT} bytes, found {len(salt)}; remove it to have one made"
        )
    return salt


def _make_salt(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write_text(path, secrets.token_hex(32) + "\n", files.PRIVATE)
