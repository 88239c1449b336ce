"""The pinned versions, and the same with hashes."""

from __future__ import annotations

import re

from conftest import ROOT


def pins(text: str) -> dict[str, str]:
    """Name (as PyPI compares names) and version of every pin."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_the_hashed_lock_pins_exactly_what_the_constraints_pin() -> None:
    locked = (ROOT / "constraints.lock").read_text()
    assert pins(locked) == pins((ROOT / "constraints.txt").read_text())
    entries = re.split(r"^(?=[A-Za-z])", locked, flags=re.MULTILINE)[1:]
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
