"""Find women who may stand under several patients of the table, by the PatientID of their files' headers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from mammogan.data.cohort.identifiers import MOST_PATIENTS
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import read_facts


def same_women(index: ShardIndex) -> Iterator[str]:
    """Yield a sentence for each PatientID (hashed) under two or three patients of the table, in several splits.

    One that is in most files says nothing. Shards of earlier versions have no such hash.
    """
    groups: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    total = 0
    for shard in index.shards:
        with open(index.folder / shard.name, "rb") as tar:
            for sample in shard.samples:
                facts = read_facts(tar, sample)
                total += 1
                if header := facts.get("header_patient"):
                    groups[header].append(facts)
    for group in groups.values():
        patients, splits = ({facts[name] for facts in group} for name in ("patient", "split"))
        if 1 < len(patients) <= MOST_PATIENTS and len(splits) > 1 and 2 * len(group) <= total:
            yield (
                f"patients {', '.join(sorted(patients))} are in {' and '.join(sorted(splits))}, and their files have "
                "one PatientID: one woman? Then give her rows one patient, and make the shards again"
            )
