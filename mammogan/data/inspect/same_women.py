"""Find women under several patients of the table, or several under one, by the PatientID of their files' headers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from mammogan.data.cohort.identifiers import MOST_PATIENTS
from mammogan.data.cohort.many_women import many_women
from mammogan.data.shards.damage import naming, opened
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import read_facts


def same_women(index: ShardIndex) -> Iterator[str]:
    """Yield a sentence for each PatientID (hashed) under two or three patients of the table, in several splits, and for
    each patient who may be several women.

    A PatientID that is in most files says nothing. Shards of earlier versions have no such hash.
    """
    total, known = 0, []
    for facts in _all_facts(index):
        total += 1
        if facts.get("header_patient"):
            known.append(facts)
    yield from _one_woman(known, total)
    seen = ((facts["patient"], facts["laterality"] + facts["view"], facts["header_patient"]) for facts in known)
    for patient, headers in many_women(seen).items():
        yield (
            f"patient {patient} has many images of one view, whose files have {headers} PatientIDs: several women, "
            "whose identifier is not known? Then give each of them one of her own, or take the rows away, and make "
            "the shards again"
        )


def _all_facts(index: ShardIndex) -> Iterator[dict[str, Any]]:
    for shard in index.shards:
        with opened(index.folder / shard.name) as tar:
            for sample in shard.samples:
                with naming(index.folder / shard.name, sample.key):
                    facts = read_facts(tar, sample)
                yield facts


def _one_woman(known: list[dict[str, Any]], total: int) -> Iterator[str]:
    groups: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for facts in known:
        groups[facts["header_patient"]].append(facts)
    for group in groups.values():
        patients, splits = ({facts[name] for facts in group} for name in ("patient", "split"))
        if 1 < len(patients) <= MOST_PATIENTS and len(splits) > 1 and 2 * len(group) <= total:
            yield (
                f"patients {', '.join(sorted(patients))} are in {' and '.join(sorted(splits))}, and their files have "
                "one PatientID: one woman? Then give her rows one patient, and make the shards again"
            )
