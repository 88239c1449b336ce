"""Two readings of the same images, such as at two resolutions: what did one show that the other did not?

Every image is its own control here, which independent sessions do not have: McNemar's exact test for one reader, and
Obuchowski and Rockette's analysis with paired cases for readers as a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mammogan.reader.statistics.answers import SAID, Answer, Shown, check_readers, readers_of
from mammogan.reader.statistics.mrmc import LEAST_CASES, LEAST_READERS, same_cases
from mammogan.reader.statistics.proportions import holm, mcnemar_exact
from mammogan.reader.statistics.table import Table, Value, with_interval

Case = tuple[str, Shown]
CAPTION = "The same images, read twice: {first} against {second}"


def same_images_table(first: Sequence[Answer], second: Sequence[Answer], names: tuple[str, str]) -> Table:
    """Return McNemar's exact test of each reader of both readings, and the paired analysis of all of them together.

    ``names`` are those of the two readings. Only images that a reader has answered in both count.
    """
    check_readers([*first, *second])
    readers = [reader for reader in readers_of(first) if reader in readers_of(second)]
    rows = [row for reader in readers for row in _of_reader(reader, first, second, names)]
    for row, p in zip(rows, holm([float(row["p (McNemar)"] or 0) for row in rows]), strict=True):
        row["p (Holm)"] = p
    notes = (
        f"{names[0]} and {names[1]} show the same mammograms. p: McNemar's exact test, from the images that only one "
        "of the two readings got right; Holm: adjusted over all rows. Unsure counts as not recognised.",
        _together(first, second, readers, names),
    )
    return Table("same_images", CAPTION.format(first=names[0], second=names[1]), rows, notes)


def _of_reader(
    reader: str, first: Sequence[Answer], second: Sequence[Answer], names: tuple[str, str]
) -> Iterator[dict[str, Value]]:
    here, there = (_answers_of(reader, answers) for answers in (first, second))
    shown: tuple[Shown, ...] = ("real", "fake")
    for kind in shown:
        pairs = [(here[case].correct, there[case].correct) for case in sorted(here.keys() & there) if case[1] == kind]
        if pairs:
            only_here, only_there = pairs.count((True, False)), pairs.count((False, True))
            yield {
                "reader": reader,
                "shown": kind,
                "images": len(pairs),
                f"right in {names[0]}": sum(one for one, _ in pairs),
                f"right in {names[1]}": sum(other for _, other in pairs),
                f"only in {names[0]}": only_here,
                f"only in {names[1]}": only_there,
                "p (McNemar)": mcnemar_exact(only_here, only_there),
                "p (Holm)": None,
            }


def _answers_of(reader: str, answers: Sequence[Answer]) -> dict[Case, Answer]:
    return {(answer.key, answer.shown): answer for answer in answers if answer.reader == reader}


def _together(first: Sequence[Answer], second: Sequence[Answer], readers: Sequence[str], names: tuple[str, str]) -> str:
    """Return a sentence about readers and images like these, from the AUC on images that all of them read twice."""
    own = [[_answers_of(reader, answers) for reader in readers] for answers in (first, second)]
    common = sorted(set.intersection(*(set(one) for test in own for one in test))) if readers else []
    shared = [own[0][0][case] for case in common]
    truth = np.array([answer.shown == "fake" for answer in shared], bool)
    if len(readers) < LEAST_READERS or min(truth.sum(), (~truth).sum()) < LEAST_CASES:
        return (
            f"{len(readers)} readers have read {len(common)} images twice; {LEAST_READERS} readers, and "
            f"{LEAST_CASES} originals and {LEAST_CASES} fakes, are needed to speak of other readers."
        )
    scores = np.array([[[SAID.index(one[case].answer) for case in common] for one in test] for test in own], float)
    found = same_cases(scores, truth)
    interval = with_interval(found.difference, found.low, found.high)
    p = (
        "without p, since the readers do not differ in it and no image sways them"
        if found.p is None
        else f"p {found.p:.3f}"
    )
    return (
        f"Readers and images like these: the AUC in {names[0]} minus that in {names[1]} is {interval}, {p} "
        f"(Obuchowski and Rockette, paired cases, {len(readers)} readers, {len(common)} images)."
    )
