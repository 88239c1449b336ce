"""Read the JSON member of a sample, which says what its mammogram is. Nothing heavy is imported."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from mammogan.data.cohort.label_sources import SOURCES
from mammogan.data.shards.index import IndexedSample
from mammogan.io.records import Misfit, Shape, check_shape

PAIR, NUMBERS = [int], [(int, float)]
FACTS: dict[str, Shape] = {
    "schema": int,
    "key": str,
    "patient": str,
    "split": str,
    "label": str,
    "y_cancer": int,
    "laterality": str,
    "view": str,
    "density": str,
    "study": str,
    **dict.fromkeys(SOURCES, str),
    "source_shape": PAIR,
    "source_spacing_mm": NUMBERS,
    "spacing_mm": NUMBERS,
    "photometric": str,
    "bits_stored": int,
    "voi": {"policy": str},
    "placement": {
        **dict.fromkeys(("source_shape", "shape", "content_shape", "offset"), PAIR),
        **dict.fromkeys(("flip_h", "flip_v"), bool),
    },
    "flip_h": bool,
    "clean_background": bool,
    "synthetic": bool,
    "film": bool,
    "burned_in_annotation": str,
    "lossy_compression": str,
    "flags": [str],
    "header_patient": str,
    "source_hmac": str,
}
"""All that the JSON of a mammogram may have, with the types."""
MADE: dict[str, Shape] = {
    **dict.fromkeys(("source_key", "source_label", "direction", "background", "objective", "notice"), str),
    "generator": {"checkpoint_sha256": str},
    "tries": int,
    "unchanged": bool,
}
"""What the JSON of an adversarial mammogram may have besides."""
UNKNOWN = ("source_spacing_mm", "spacing_mm")
"""What a header may not say: then it is null."""
TWO = ("source_shape", *UNKNOWN)
"""Lists of height and width."""
USED = ("key", "patient", "split", "label", "laterality", "view", "placement", "flags")
"""What readers cannot do without, and every version wrote."""


def read_facts(tar: BinaryIO, at: IndexedSample) -> dict[str, Any]:
    """Read the JSON member of a sample."""
    tar.seek(at.json_offset)
    return parse_facts(tar.read(at.json_size))


def parse_facts(member: bytes) -> dict[str, Any]:
    """Parse a sample's JSON member. Raises ValueError unless it is a mapping with what is used, in the right types."""
    try:
        facts = json.loads(member, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("its JSON has brackets within brackets without end") from error
    if not isinstance(facts, dict):
        raise ValueError(f"its JSON holds no mapping but {type(facts).__name__}")
    check_shape(facts, dict.fromkeys(USED))
    for name in facts:
        if fault := fault_of(facts, name):
            raise Misfit(f"in its JSON, {fault}")
    return facts


def fault_of(facts: dict[str, Any], name: str) -> str:
    """Return what is wrong with the type of a fact; empty if nothing is, it is not there, or nobody reads it."""
    value, shape = facts.get(name), FACTS.get(name) or MADE.get(name)
    if name not in facts or (value is None and name in UNKNOWN):
        return ""
    try:
        check_shape(value, shape, name)
    except Misfit as error:
        return str(error)
    pairs: dict[str, Any] = {name: value} if name in TWO else dict(value or {}) if name == "placement" else {}
    wrong = [key for key, held in pairs.items() if isinstance(held, list) and key != "region" and len(held) != 2]
    return f"{wrong[0]}: expected two numbers, found {len(pairs[wrong[0]])}" if wrong else ""


def _no_number(word: str) -> None:
    raise ValueError(f"its JSON has {word}, which is no number")
