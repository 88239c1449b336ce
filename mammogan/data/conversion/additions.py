"""Records the mammograms that were added to a cohort after its first conversion, counts them, and says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mammogan.data.shards.index import ADDITIONS


def made_of(shards: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """Return the names and the number of mammograms of the shards of one addition."""
    made = [shard for shard in shards if shard]
    return {"mammograms": sum(shard["count"] for shard in made), "shards": [shard["name"] for shard in made]}


def added_to(settings: Mapping[str, Any]) -> list[str]:
    """Return the fingerprints of the additions to a cohort's first table."""
    added: list[str] = settings.get(ADDITIONS, [])
    return added


def is_earlier(additions: Sequence[str], later: Sequence[str]) -> bool:
    """Return whether a cohort with these additions becomes that with the ``later`` ones by growing further."""
    return list(additions) == list(later[: len(additions)])


def line_on(resolution: object, counted: Mapping[str, int]) -> str:
    """Return what the user is told of an addition; ``counted`` has its rows and its new patients."""
    return (
        f"{resolution}: the table has grown by {counted['rows']} rows with {counted['patients']} new patients: only "
        "these rows are converted. The other shards, and the splits of earlier patients, stay as they are"
    )
