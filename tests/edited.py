"""Change the package's own records as somebody would who also renews their checksum."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mammogan.io.records import read_record, write_record


def edit_record(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Read a JSON record, change it in place, and write it again with a checksum that fits."""
    values = read_record(path)
    change(values)
    write_record(path, values)


def renew_checksum(path: Path) -> None:
    """Give a JSON record that was edited as text a checksum that fits."""

    write_record(path, json.loads(path.read_text()))
