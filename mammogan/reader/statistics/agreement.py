"""Do the readers agree, beyond what chance would have them agree?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from statsmodels.stats.inter_rater import fleiss_kappa

from mammogan.reader.statistics.answers import SAID, Answer


def agreement(answers: Sequence[Answer]) -> float | None:
    """Return Fleiss's kappa of the answers on images that all readers answered.

    None if fewer than two readers, or no image, have answers of all; also if every answer is the same, where kappa is
    not defined.
    """
    counts: dict[tuple[str, str], Counter[str]] = {}
    for answer in answers:
        counts.setdefault((answer.key, answer.shown), Counter())[answer.answer] += 1
    readers = len({answer.reader for answer in answers})
    table = np.array([[count[said] for said in SAID] for count in counts.values() if count.total() == readers])
    if readers < 2 or not len(table) or (table.sum(axis=0) > 0).sum() < 2:
        return None
    return float(fleiss_kappa(table))
