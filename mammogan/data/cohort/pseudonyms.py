"""Pseudonyms of patients, images and exams: they reveal nothing and are the same in every run with the same salt."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from mammogan.data.cohort.identifiers import spelling_free
from mammogan.errors import UserError
from mammogan.io import atomic
from mammogan.io.private import read_private, refuse_guessable

UID = re.compile(r"\d+(\.\d+){3,}|2\.25\.\d{9,}")
"""Pattern of a DICOM UID, which identifies an exam everywhere; 2.25 and a long number is made of a UUID. Any other name
of an exam, such as a date or a number, identifies it only among the exams of one patient."""

DIGITS = 64
"""Length of a salt that is made here, in hexadecimal digits."""
START = re.compile(rb"[0-9a-f]{1,%d}" % (DIGITS - 1))
"""Such a salt that was cut."""


@dataclass(frozen=True)
class Pseudonyms:
    """Pseudonyms by HMAC-SHA256 with a secret salt: without the salt, nobody can test names or record numbers."""

    salt: bytes = field(repr=False)

    def patient(self, identifier: str) -> str:
        """Return 12 hex digits for a patient of the cohort table."""
        return self._digest("patient", identifier)[:12]

    def image(self, path: str) -> str:
        """Return 8 hex digits for an image, from its path as the cohort table writes it."""
        return self._digest("image", path)[:8]

    def study(self, patient: str, identifier: str) -> str:
        """Return 12 hex digits for an exam, from its StudyInstanceUID, or from the patient and any other identifier."""
        return self._digest("study", identifier if UID.fullmatch(identifier) else f"{patient}\0{identifier}")[:12]

    def header_patient(self, identifier: str) -> str:
        """Return 12 hex digits for the PatientID of a header, the same for all spellings of it."""
        return self._digest("header patient", spelling_free(identifier))[:12]

    def source(self, fingerprint: bytes) -> str:
        """Return 32 hex digits for stored pixels; without the salt, a file cannot be matched to a sample of a shard."""
        return self._digest("source", fingerprint.hex())[:32]

    def _digest(self, kind: str, text: str) -> str:
        return hmac.new(self.salt, f"{kind}\0{text}".encode(), hashlib.sha256).hexdigest()


def load_salt(path: Path) -> bytes:
    """Read the secret salt; create one, readable by its owner only, if the file does not exist.

    Raises UserError if it cannot be read, is no file of this user's that nobody else may read, was cut, or is too weak
    to be a secret.
    """
    place = atomic.place_of(path)
    if place == "nothing" and not path.is_symlink():
        _make_salt(path)
    elif place in ("folder", "closed", "no answer"):
        raise UserError(f"salt file {path}: expected a file that you may read, found {atomic.FOUND[place]}")
    try:
        content = read_private(path)
    except OSError as error:
        raise UserError(f"salt file {path} cannot be read: {error.strerror}; it must be yours") from error
    salt = content.strip()
    refuse_guessable(
        salt, f"salt file {path}", "bring it back from a copy; if nothing was made with it, remove it to have one made"
    )
    _refuse_cut(path, content)
    return salt


def _refuse_cut(path: Path, content: bytes) -> None:
    """Raise UserError for what may be the beginning of a salt of ``_make_salt``: every patient would get another
    identifier than before."""
    if START.fullmatch(content):
        raise UserError(
            f"salt file {path}: expected {DIGITS} hexadecimal digits, found {len(content)} and no end of the line: it "
            "was cut. Bring it back from a copy; if it is whole and your own, end its line"
        )


def _make_salt(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    atomic.write_text(path, secrets.token_hex(DIGITS // 2) + "\n", atomic.PRIVATE)
