"""Read the JSON member of a sample, which says what its mammogram is. Nothing heavy is imported."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from mammogan.data.shards.index import IndexedSample


def read_facts(tar: BinaryIO, at: IndexedSample) -> dict[str, Any]:
    """Read the JSON member of a sample."""
    tar.seek(at.json_offset)
    return parse_facts(tar.read(at.json_size))


def parse_facts(member: bytes) -> dict[str, Any]:
    """Parse a sample's JSON member. Raises ValueError unless it is a mapping."""
    try:
        facts = json.loads(member)
    except RecursionError as error:
        raise ValueError("its JSON has brackets within brackets without end") from error
    if not isinstance(facts, dict):
        raise ValueError(f"its JSON holds no mapping but {type(facts).__name__}")
    return facts
